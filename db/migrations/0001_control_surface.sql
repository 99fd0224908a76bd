CREATE TABLE "audit_events" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"actor" text NOT NULL,
	"action" text NOT NULL,
	"target" text NOT NULL,
	"before" jsonb,
	"after" jsonb
);
--> statement-breakpoint
CREATE TABLE "idempotent_answers" (
	"actor" text NOT NULL,
	"key" text NOT NULL,
	"request" "bytea" NOT NULL,
	"status" integer DEFAULT 0 NOT NULL,
	"body" text DEFAULT '' NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "idempotent_answers_actor_key_pk" PRIMARY KEY("actor","key")
);
--> statement-breakpoint
CREATE TABLE "task_keys" (
	"kid" text PRIMARY KEY NOT NULL,
	"x" text NOT NULL,
	"private_key" text NOT NULL,
	"usable_from" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "fleet" ADD COLUMN "paused_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "fleet" ADD COLUMN "pause_reason" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "fleet" ADD COLUMN "upstream_parallel" integer;--> statement-breakpoint
ALTER TABLE "fleet" ADD COLUMN "upstream_parallel_of" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "labels" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "parallel" integer;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "drained_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "hosts" ADD COLUMN "roots" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "operator_tokens" ADD COLUMN "expires_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "operator_tokens" ADD COLUMN "last_used_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "description" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "fallbacks" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "parts" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "upstream_host" text;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "login_user" text;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "login_host" text;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "login_password" text;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "starts_at" text;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "ends_at" text;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "splay_seconds" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "quiet" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "hosts" text[];--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "labels" jsonb;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "bandwidth_windows" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "retry_seconds" integer DEFAULT 5 NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "unpublished" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "version" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "projects" ADD COLUMN "paused_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "replicas" ADD COLUMN "root" text;--> statement-breakpoint
ALTER TABLE "replicas" ADD COLUMN "synced_root" text;--> statement-breakpoint
ALTER TABLE "replicas" ADD COLUMN "paused_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "tasks" ADD COLUMN "cancel_requested_at" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "audit_events_latest" ON "audit_events" USING btree ("at");--> statement-breakpoint
CREATE INDEX "idempotent_answers_oldest" ON "idempotent_answers" USING btree ("created_at");--> statement-breakpoint
ALTER TABLE "log_chunks" ADD CONSTRAINT "log_chunks_task_id_tasks_id_fk" FOREIGN KEY ("task_id") REFERENCES "public"."tasks"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "replicas_of_host" ON "replicas" USING btree ("host_id");--> statement-breakpoint
CREATE INDEX "tasks_of_project" ON "tasks" USING btree ("project_id","queued_at");--> statement-breakpoint
CREATE INDEX "tasks_of_host" ON "tasks" USING btree ("host_id","queued_at");--> statement-breakpoint
CREATE INDEX "tasks_latest" ON "tasks" USING btree ("queued_at");