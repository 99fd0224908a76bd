import { bigint, boolean, index, integer, jsonb, pgTable, text } from "drizzle-orm/pg-core";
import type { BandwidthWindow, Part } from "../../../protocol/project.ts";
import type { RsyncOptions } from "../../../protocol/rsync.ts";
import type { TimeWindow } from "../../../protocol/schedule.ts";
import type { Trace } from "../../../protocol/trace.ts";
import { createdAt, id, time } from "./columns.ts";

export const projects = pgTable(
  "projects",
  {
    id: id(),
    name: text("name").notNull().unique(),
    description: text("description").notNull().default(""),
    upstream: text("upstream"),
    fallbacks: jsonb("fallbacks").$type<string[]>().notNull().default([]),
    parts: jsonb("parts").$type<Part[]>().notNull().default([]),
    /** Host of the first source: pulls from one host can be limited. */
    upstreamHost: text("upstream_host"),
    sentinel: text("sentinel"),
    scanEveryHours: integer("scan_every_hours").notNull().default(24),
    loginUser: text("login_user"),
    loginHost: text("login_host"),
    /** JWE with a key that is not in the database. */
    loginPassword: text("login_password"),
    schedule: text("schedule"),
    zone: text("zone").notNull(),
    startsAt: text("starts_at"),
    endsAt: text("ends_at"),
    splaySeconds: integer("splay_seconds").notNull().default(0),
    quiet: jsonb("quiet").$type<TimeWindow[]>().notNull().default([]),
    misfire: text("misfire").$type<"latest" | "skip" | "all">().notNull(),
    misfireWindowSeconds: integer("misfire_window_seconds").notNull().default(86_400),
    overlap: text("overlap").$type<"skip" | "queue-one">().notNull(),
    path: text("path").notNull().unique(),
    /** FTP hosts that carry it, by name; null: by labels; both null: all. */
    hosts: text("hosts").array(),
    labels: jsonb("labels").$type<Record<string, string>>(),
    rsync: jsonb("rsync").$type<RsyncOptions>().notNull(),
    bandwidthWindows: jsonb("bandwidth_windows").$type<BandwidthWindow[]>().notNull().default([]),
    priority: integer("priority").notNull().default(0),
    maxAttempts: integer("max_attempts").notNull(),
    retrySeconds: integer("retry_seconds").notNull().default(5),
    wallClockSeconds: integer("wall_clock_seconds").notNull(),
    stallSeconds: integer("stall_seconds").notNull(),
    /** Shown to everybody, without credentials. */
    public: boolean("public").notNull().default(false),
    /** As old a replica may be; null: derived from the schedule. */
    freshWithinSeconds: integer("fresh_within_seconds"),
    /** The same, or what was derived. */
    freshTargetSeconds: integer("fresh_target_seconds").notNull().default(86_400),
    maxDeletePercent: integer("max_delete_percent").notNull(),
    /** FTP hosts compare their whole tree as often, though change lists have brought it there. */
    reconcileDays: integer("reconcile_days").notNull().default(7),
    /** File that hosts leave in the tree; null: none. */
    trace: jsonb("trace").$type<Trace>(),
    /** Number of the latest published state. */
    generation: bigint("generation", { mode: "number" }).notNull().default(0),
    /** Entries of the master's tree, as its last scan counted them. */
    files: bigint("files", { mode: "number" }).notNull().default(0),
    /** The bytes of its files, counted with them. */
    bytes: bigint("bytes", { mode: "number" }).notNull().default(0),
    /** When the source was last seen to be what is published: the start of the pull that saw it. */
    freshAt: time("fresh_at"),
    /** A pull that failed has changed the master's tree: the next success publishes it. */
    unpublished: boolean("unpublished").notNull().default(false),
    nextRunAt: time("next_run_at"),
    /** Goes up with each change that an operator makes. */
    version: integer("version").notNull().default(1),
    pausedAt: time("paused_at"),
    createdAt: createdAt(),
  },
  (table) => [index("projects_due").on(table.nextRunAt)],
);
