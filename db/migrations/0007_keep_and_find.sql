DROP INDEX "tasks_leased";--> statement-breakpoint
DROP INDEX "tasks_of_poll";--> statement-breakpoint
ALTER TABLE "fleet" ADD COLUMN "keep_runs_days" integer DEFAULT 90;--> statement-breakpoint
ALTER TABLE "fleet" ADD COLUMN "keep_logs_days" integer DEFAULT 30;--> statement-breakpoint
ALTER TABLE "fleet" ADD COLUMN "keep_audit_days" integer DEFAULT 730;--> statement-breakpoint
ALTER TABLE "log_chunks" ADD COLUMN "created_at" timestamp (3) with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
CREATE INDEX "log_chunks_oldest" ON "log_chunks" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "runs_active" ON "runs" USING btree ("project_id") WHERE "runs"."state" in ('queued', 'running', 'distributing');--> statement-breakpoint
CREATE INDEX "tasks_active" ON "tasks" USING btree ("project_id","host_id") WHERE "tasks"."state" in ('queued', 'leased');--> statement-breakpoint
CREATE INDEX "tasks_leased" ON "tasks" USING btree ("host_id","project_id") WHERE "tasks"."state" = 'leased';--> statement-breakpoint
CREATE INDEX "tasks_of_poll" ON "tasks" USING btree ("poll_id") WHERE "tasks"."poll_id" is not null;