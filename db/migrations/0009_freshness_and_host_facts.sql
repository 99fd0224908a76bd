ALTER TABLE "hosts" ADD COLUMN "facts" jsonb;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "facts_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "clock_skew_seconds" double precision;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "fresh_within_seconds" integer;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "fresh_target_seconds" integer DEFAULT 86400 NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "fresh_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "replicas" ADD COLUMN "fresh_at" timestamp (3) with time zone;--> statement-breakpoint
UPDATE "projects" SET "fresh_at" = (SELECT "synced_at" FROM "replicas" WHERE "project_id" = "projects"."id" AND "role" = 'master');--> statement-breakpoint
UPDATE "replicas" SET "fresh_at" = "synced_at" WHERE "role" = 'master';
