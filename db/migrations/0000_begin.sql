CREATE TABLE "attempts" (
	"task_id" uuid NOT NULL,
	"attempt" integer NOT NULL,
	"state" text NOT NULL,
	"result" jsonb,
	"started_at" timestamp (3) with time zone NOT NULL,
	"finished_at" timestamp (3) with time zone,
	CONSTRAINT "attempts_task_id_attempt_pk" PRIMARY KEY("task_id","attempt")
);
--> statement-breakpoint
CREATE TABLE "enrolment_tokens" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"host_id" uuid NOT NULL,
	"hash" "bytea" NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"used_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "enrolment_tokens_hash_unique" UNIQUE("hash")
);
--> statement-breakpoint
CREATE TABLE "fleet" (
	"single" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"identity" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "fleet_single" CHECK ("fleet"."single")
);
--> statement-breakpoint
CREATE TABLE "hosts" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"name" text NOT NULL,
	"roles" text[] NOT NULL,
	"addresses" text[] NOT NULL,
	"signing_key" jsonb,
	"sealing_key" jsonb,
	"enrolled_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone,
	"last_seen_at" timestamp (3) with time zone,
	"agent_version" text,
	"daemon_port" integer,
	"daemon_module" text,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "hosts_name_unique" UNIQUE("name")
);
--> statement-breakpoint
CREATE TABLE "log_chunks" (
	"task_id" uuid NOT NULL,
	"attempt" integer NOT NULL,
	"position" bigint NOT NULL,
	"bytes" "bytea" NOT NULL,
	CONSTRAINT "log_chunks_task_id_attempt_position_pk" PRIMARY KEY("task_id","attempt","position")
);
--> statement-breakpoint
CREATE TABLE "operator_tokens" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"name" text NOT NULL,
	"scope" text NOT NULL,
	"hash" "bytea" NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"revoked_at" timestamp (3) with time zone,
	CONSTRAINT "operator_tokens_hash_unique" UNIQUE("hash")
);
--> statement-breakpoint
CREATE TABLE "projects" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"name" text NOT NULL,
	"upstream" text,
	"schedule" text,
	"zone" text NOT NULL,
	"misfire" text NOT NULL,
	"overlap" text NOT NULL,
	"path" text NOT NULL,
	"rsync" jsonb NOT NULL,
	"max_attempts" integer NOT NULL,
	"wall_clock_seconds" integer NOT NULL,
	"stall_seconds" integer NOT NULL,
	"max_delete_percent" integer NOT NULL,
	"generation" bigint DEFAULT 0 NOT NULL,
	"next_run_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "projects_name_unique" UNIQUE("name"),
	CONSTRAINT "projects_path_unique" UNIQUE("path")
);
--> statement-breakpoint
CREATE TABLE "replicas" (
	"project_id" uuid NOT NULL,
	"host_id" uuid NOT NULL,
	"role" text NOT NULL,
	"generation" bigint DEFAULT 0 NOT NULL,
	"synced_at" timestamp (3) with time zone,
	CONSTRAINT "replicas_project_id_host_id_pk" PRIMARY KEY("project_id","host_id")
);
--> statement-breakpoint
CREATE TABLE "runs" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"project_id" uuid NOT NULL,
	"trigger" text NOT NULL,
	"state" text NOT NULL,
	"reason" text,
	"scheduled_for" timestamp (3) with time zone NOT NULL,
	"approved_deletions" integer,
	"generation" bigint,
	"started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tasks" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"run_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"host_id" uuid NOT NULL,
	"role" text NOT NULL,
	"state" text NOT NULL,
	"attempt" integer DEFAULT 0 NOT NULL,
	"max_attempts" integer NOT NULL,
	"not_before" timestamp (3) with time zone NOT NULL,
	"lease_until" timestamp (3) with time zone,
	"poll_id" uuid,
	"progress" jsonb,
	"result" jsonb,
	"queued_at" timestamp (3) with time zone NOT NULL,
	"started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone
);
--> statement-breakpoint
ALTER TABLE "attempts" ADD CONSTRAINT "attempts_task_id_tasks_id_fk" FOREIGN KEY ("task_id") REFERENCES "public"."tasks"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "enrolment_tokens" ADD CONSTRAINT "enrolment_tokens_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "replicas" ADD CONSTRAINT "replicas_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "replicas" ADD CONSTRAINT "replicas_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_host_id_hosts_id_fk" FOREIGN KEY ("host_id") REFERENCES "public"."hosts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "projects_due" ON "projects" USING btree ("next_run_at");--> statement-breakpoint
CREATE UNIQUE INDEX "replicas_one_master" ON "replicas" USING btree ("project_id") WHERE "replicas"."role" = 'master';--> statement-breakpoint
CREATE UNIQUE INDEX "runs_occurrence" ON "runs" USING btree ("project_id","scheduled_for") WHERE "runs"."trigger" = 'schedule';--> statement-breakpoint
CREATE UNIQUE INDEX "runs_one_running" ON "runs" USING btree ("project_id") WHERE "runs"."state" = 'running';--> statement-breakpoint
CREATE UNIQUE INDEX "runs_one_queued" ON "runs" USING btree ("project_id") WHERE "runs"."state" = 'queued';--> statement-breakpoint
CREATE INDEX "runs_latest" ON "runs" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "runs_of_project" ON "runs" USING btree ("project_id","created_at");--> statement-breakpoint
CREATE INDEX "tasks_waiting" ON "tasks" USING btree ("host_id","not_before") WHERE "tasks"."state" = 'queued';--> statement-breakpoint
CREATE INDEX "tasks_leased" ON "tasks" USING btree ("lease_until") WHERE "tasks"."state" = 'leased';--> statement-breakpoint
CREATE INDEX "tasks_of_poll" ON "tasks" USING btree ("poll_id");--> statement-breakpoint
CREATE UNIQUE INDEX "tasks_one_a_host" ON "tasks" USING btree ("run_id","host_id");