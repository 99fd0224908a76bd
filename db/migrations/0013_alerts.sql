CREATE TABLE "alert_messages" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"number" bigint GENERATED ALWAYS AS IDENTITY (sequence name "alert_messages_number_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"receiver_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"alerts" jsonb NOT NULL,
	"total" integer NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"not_before" timestamp (3) with time zone NOT NULL,
	"error" text,
	"delivered_at" timestamp (3) with time zone,
	"given_up_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "alert_receivers" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"name" text NOT NULL,
	"kind" text NOT NULL,
	"address" text NOT NULL,
	"sealed" text NOT NULL,
	"room" text,
	"sender" text,
	"recipients" text[] NOT NULL,
	"conditions" text[] NOT NULL,
	"projects" text[],
	"hosts" text[],
	"remind_hours" integer,
	"silenced_until" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "alert_receivers_name_unique" UNIQUE("name")
);
--> statement-breakpoint
CREATE TABLE "alerts" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"condition" text NOT NULL,
	"project" text NOT NULL,
	"host" text NOT NULL,
	"root" text NOT NULL,
	"detail" text NOT NULL,
	"opened_at" timestamp (3) with time zone NOT NULL,
	"away_at" timestamp (3) with time zone,
	"closed_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "alerts_told" (
	"receiver_id" uuid NOT NULL,
	"alert_id" uuid NOT NULL,
	"told_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "alerts_told_receiver_id_alert_id_pk" PRIMARY KEY("receiver_id","alert_id")
);
--> statement-breakpoint
ALTER TABLE "fleet" ADD COLUMN "alert_failed_runs" integer DEFAULT 3 NOT NULL;--> statement-breakpoint
ALTER TABLE "fleet" ADD COLUMN "alert_away_minutes" integer DEFAULT 15 NOT NULL;--> statement-breakpoint
ALTER TABLE "fleet" ADD COLUMN "alert_disk_percent" integer DEFAULT 5 NOT NULL;--> statement-breakpoint
ALTER TABLE "alert_messages" ADD CONSTRAINT "alert_messages_receiver_id_alert_receivers_id_fk" FOREIGN KEY ("receiver_id") REFERENCES "public"."alert_receivers"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "alerts_told" ADD CONSTRAINT "alerts_told_receiver_id_alert_receivers_id_fk" FOREIGN KEY ("receiver_id") REFERENCES "public"."alert_receivers"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "alerts_told" ADD CONSTRAINT "alerts_told_alert_id_alerts_id_fk" FOREIGN KEY ("alert_id") REFERENCES "public"."alerts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "alert_messages_waiting" ON "alert_messages" USING btree ("receiver_id","number") WHERE "alert_messages"."delivered_at" is null and "alert_messages"."given_up_at" is null;--> statement-breakpoint
CREATE INDEX "alert_messages_of_receiver" ON "alert_messages" USING btree ("receiver_id","delivered_at");--> statement-breakpoint
CREATE INDEX "alert_messages_oldest" ON "alert_messages" USING btree ("created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "alerts_open" ON "alerts" USING btree ("condition","project","host","root") WHERE "alerts"."closed_at" is null;--> statement-breakpoint
CREATE INDEX "alerts_latest" ON "alerts" USING btree ("opened_at");--> statement-breakpoint
CREATE INDEX "alerts_told_alert" ON "alerts_told" USING btree ("alert_id");--> statement-breakpoint
CREATE INDEX "tasks_halted" ON "tasks" USING btree ("project_id","host_id") WHERE "tasks"."state" = 'lost' or ("tasks"."state" = 'failed' and "tasks"."result" ->> 'outcome' = 'stalled');