ALTER TABLE "hosts" ADD COLUMN "serves" integer;--> statement-breakpoint
ALTER TABLE "tasks" ADD COLUMN "dismissed_at" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "tasks_held" ON "tasks" USING btree ("project_id","host_id") WHERE "tasks"."state" = 'failed' and "tasks"."dismissed_at" is null and "tasks"."result" ->> 'outcome' = 'held';