CREATE TABLE "attempt_totals" (
	"project_id" uuid NOT NULL,
	"host_id" uuid NOT NULL,
	"outcome" text NOT NULL,
	"attempts" bigint NOT NULL,
	"seconds" double precision NOT NULL,
	"received_bytes" bigint NOT NULL,
	CONSTRAINT "attempt_totals_project_id_host_id_outcome_pk" PRIMARY KEY("project_id","host_id","outcome")
);
--> statement-breakpoint
CREATE TABLE "run_totals" (
	"project_id" uuid NOT NULL,
	"state" text NOT NULL,
	"runs" bigint NOT NULL,
	CONSTRAINT "run_totals_project_id_state_pk" PRIMARY KEY("project_id","state")
);
--> statement-breakpoint
CREATE TABLE "wait_totals" (
	"project_id" uuid NOT NULL,
	"bound" double precision NOT NULL,
	"tasks" bigint NOT NULL,
	"seconds" double precision NOT NULL,
	CONSTRAINT "wait_totals_project_id_bound_pk" PRIMARY KEY("project_id","bound")
);
--> statement-breakpoint
ALTER TABLE "fleet" ADD COLUMN "open_metrics" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "bytes" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "attempt_totals" ADD CONSTRAINT "attempt_totals_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "run_totals" ADD CONSTRAINT "run_totals_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;