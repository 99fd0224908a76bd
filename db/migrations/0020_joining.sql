ALTER TABLE "enrolment_tokens" ADD COLUMN "join_key" text;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "instance" uuid;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "instances" jsonb;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "quarantined_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "quarantine_reason" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "enrolment_tokens" ADD CONSTRAINT "enrolment_tokens_join_key_unique" UNIQUE("join_key");--> statement-breakpoint
-- Who was told of everything is told of what is new, too.
UPDATE "alert_receivers" SET "conditions" = array_append("conditions", 'cloned')
WHERE "conditions" @> ARRAY['failed', 'stale', 'out-of-contact', 'held', 'disk', 'no-progress'];
