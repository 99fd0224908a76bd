CREATE TABLE "change_lists" (
	"project_id" uuid NOT NULL,
	"generation" bigint NOT NULL,
	"digest" text NOT NULL,
	"entries" integer NOT NULL,
	CONSTRAINT "change_lists_project_id_generation_pk" PRIMARY KEY("project_id","generation")
);
--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "priority" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "reconcile_days" integer DEFAULT 7 NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "files" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "replicas" ADD COLUMN "scanned_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "change_lists" ADD CONSTRAINT "change_lists_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;