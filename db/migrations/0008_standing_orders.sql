CREATE TABLE "standing_reports" (
	"project_id" uuid NOT NULL,
	"host_id" uuid NOT NULL,
	"scheduled_for" timestamp (3) with time zone NOT NULL,
	"task_id" uuid NOT NULL,
	"attempt" integer NOT NULL,
	CONSTRAINT "standing_reports_project_id_host_id_scheduled_for_pk" PRIMARY KEY("project_id","host_id","scheduled_for")
);
--> statement-breakpoint
DROP INDEX "tasks_of_poll";--> statement-breakpoint
ALTER TABLE "fleet" ADD COLUMN "standing_orders" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "standing_reports" ADD CONSTRAINT "standing_reports_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "standing_reports" ADD CONSTRAINT "standing_reports_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "standing_reports" ADD CONSTRAINT "standing_reports_task_id_tasks_id_fk" FOREIGN KEY ("task_id") REFERENCES "public"."tasks"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "runs_standing" ON "runs" USING btree ("project_id","scheduled_for") WHERE "runs"."trigger" = 'standing';--> statement-breakpoint
CREATE UNIQUE INDEX "tasks_of_poll" ON "tasks" USING btree ("poll_id") WHERE "tasks"."poll_id" is not null;