ALTER TABLE "projects" ADD COLUMN "sentinel" text;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "scan_every_hours" integer DEFAULT 24 NOT NULL;