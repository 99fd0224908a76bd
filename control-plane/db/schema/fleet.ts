import { sql } from "drizzle-orm";
import { boolean, check, integer, jsonb, pgTable, text } from "drizzle-orm/pg-core";
import type { Site } from "../../../protocol/site.ts";
import { createdAt, time } from "./columns.ts";

/** What a fleet's replicas must agree on: one row. */
export const fleet = pgTable(
  "fleet",
  {
    single: boolean("single").primaryKey().default(true),
    /** Thumbprint of the first task key: the fleet's identity. */
    identity: text("identity").notNull(),
    /** Set: nothing is scheduled and nothing is leased. */
    pausedAt: time("paused_at"),
    pauseReason: text("pause_reason").notNull().default(""),
    /** Who runs the mirror, for what is public. */
    site: jsonb("site").$type<Site>(),
    /** Metrics are shown to everybody, without credentials. */
    openMetrics: boolean("open_metrics").notNull().default(false),
    /** Hosts that are out of contact may follow the schedule by themselves. */
    standingOrders: boolean("standing_orders").notNull().default(true),
    /** Pulls at a time from one upstream host. */
    upstreamParallel: integer("upstream_parallel"),
    upstreamParallelOf: jsonb("upstream_parallel_of")
      .$type<Record<string, number>>()
      .notNull()
      .default({}),
    /** Days for which what has ended is kept; null: for ever. */
    keepRunsDays: integer("keep_runs_days").default(90),
    keepLogsDays: integer("keep_logs_days").default(30),
    keepAuditDays: integer("keep_audit_days").default(730),
    /** Alerts are about so many failures in a row, minutes without contact, percent of a disk that are free. */
    alertFailedRuns: integer("alert_failed_runs").notNull().default(3),
    alertAwayMinutes: integer("alert_away_minutes").notNull().default(15),
    alertDiskPercent: integer("alert_disk_percent").notNull().default(5),
    /** Alert when a disk will be full within as many days; null: not. */
    alertDiskDays: integer("alert_disk_days").default(7),
    createdAt: createdAt(),
  },
  (table) => [check("fleet_single", sql`${table.single}`)],
);

/** Keys that sign task orders. Agents pin their public part. */
export const taskKeys = pgTable("task_keys", {
  /** Thumbprint (RFC 7638). */
  kid: text("kid").primaryKey(),
  x: text("x").notNull(),
  /** JWE with a key that is not in the database. */
  privateKey: text("private_key").notNull(),
  usableFrom: time("usable_from").notNull(),
  createdAt: createdAt(),
});
