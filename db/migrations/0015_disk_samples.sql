CREATE TABLE "disk_samples" (
	"host_id" uuid NOT NULL,
	"root" text NOT NULL,
	"day" date NOT NULL,
	"free_bytes" bigint NOT NULL,
	CONSTRAINT "disk_samples_host_id_root_day_pk" PRIMARY KEY("host_id","root","day")
);
--> statement-breakpoint
ALTER TABLE "disk_samples" ADD CONSTRAINT "disk_samples_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE cascade ON UPDATE no action;