import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import type { Role } from "../../../protocol/host.ts";
import type { Progress, Result } from "../../../protocol/report.ts";
import type { AttemptState, TaskState } from "../../../protocol/states.ts";
import { bytea, createdAt, id, time } from "./columns.ts";
import { hosts } from "./hosts.ts";
import { projects } from "./projects.ts";
import { runs } from "./runs.ts";

export const tasks = pgTable(
  "tasks",
  {
    id: id(),
    runId: uuid("run_id")
      .notNull()
      .references(() => runs.id, { onDelete: "cascade" }),
    projectId: uuid("project_id")
      .notNull()
      .references(() => projects.id, { onDelete: "cascade" }),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    role: text("role").$type<Role>().notNull(),
    /** Only lists what a pull would do: it says nothing of the replica. */
    dryRun: boolean("dry_run").notNull().default(false),
    state: text("state").$type<TaskState>().notNull(),
    /** Number of the current or latest attempt: the fence. 0: none yet. */
    attempt: integer("attempt").notNull().default(0),
    maxAttempts: integer("max_attempts").notNull(),
    /** Not leased before this time: back-off after a failed attempt. */
    notBefore: time("not_before").notNull(),
    leaseUntil: time("lease_until"),
    /** The poll that took the lease; repeated, it gets the same lease. */
    pollId: uuid("poll_id"),
    /** An operator wants it ended; the agent hears of it with its next heartbeat. */
    cancelRequestedAt: time("cancel_requested_at"),
    progress: jsonb("progress").$type<Progress>(),
    result: jsonb("result").$type<Result>(),
    /** An operator has left the deletions that it holds undone. */
    dismissedAt: time("dismissed_at"),
    queuedAt: time("queued_at").notNull(),
    startedAt: time("started_at"),
    finishedAt: time("finished_at"),
  },
  (table) => [
    index("tasks_waiting")
      .on(table.hostId, table.notBefore)
      .where(sql`${table.state} = 'queued'`),
    // Not on the lease's end: a heartbeat changes no column of an index, and so writes none.
    index("tasks_leased")
      .on(table.hostId, table.projectId)
      .where(sql`${table.state} = 'leased'`),
    index("tasks_active")
      .on(table.projectId, table.hostId)
      .where(sql`${table.state} in ('queued', 'leased')`),
    index("tasks_of_project").on(table.projectId, table.queuedAt),
    // The latest of each replica, and the latest pulls: found though most tasks are others'.
    index("tasks_of_replica").on(table.projectId, table.hostId, table.queuedAt),
    index("tasks_pulls")
      .on(table.projectId, table.queuedAt)
      .where(sql`${table.role} = 'master'`),
    index("tasks_of_host").on(table.hostId, table.queuedAt),
    index("tasks_latest").on(table.queuedAt),
    // One lease a poll, however often it is repeated.
    uniqueIndex("tasks_of_poll")
      .on(table.pollId)
      .where(sql`${table.pollId} is not null`),
    index("tasks_held")
      .on(table.projectId, table.hostId)
      .where(
        sql`${table.state} = 'failed' and ${table.dismissedAt} is null and ${table.result} ->> 'outcome' = 'held'`,
      ),
    // Those of which an alert may tell that rsync, or its agent, came to a halt.
    index("tasks_halted")
      .on(table.projectId, table.hostId)
      .where(
        sql`${table.state} = 'lost' or (${table.state} = 'failed' and ${table.result} ->> 'outcome' = 'stalled')`,
      ),
    uniqueIndex("tasks_one_a_host").on(table.runId, table.hostId),
  ],
);

export const attempts = pgTable(
  "attempts",
  {
    taskId: uuid("task_id")
      .notNull()
      .references(() => tasks.id, { onDelete: "cascade" }),
    attempt: integer("attempt").notNull(),
    state: text("state").$type<AttemptState>().notNull(),
    result: jsonb("result").$type<Result>(),
    startedAt: time("started_at").notNull(),
    finishedAt: time("finished_at"),
  },
  (table) => [primaryKey({ columns: [table.taskId, table.attempt] })],
);

export const logChunks = pgTable(
  "log_chunks",
  {
    taskId: uuid("task_id")
      .notNull()
      .references(() => tasks.id, { onDelete: "cascade" }),
    attempt: integer("attempt").notNull(),
    /** Byte offset of the chunk in the attempt's log. */
    position: bigint("position", { mode: "number" }).notNull(),
    bytes: bytea("bytes").notNull(),
    /** Set: `bytes` is gzip, of so many bytes of log. */
    packedBytes: integer("packed_bytes"),
    createdAt: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.taskId, table.attempt, table.position] }),
    index("log_chunks_oldest").on(table.createdAt),
    index("log_chunks_unpacked")
      .on(table.taskId, table.attempt)
      .where(sql`${table.packedBytes} is null`),
  ],
);

/** What hosts did by themselves while they were out of contact, so that each report counts once. */
export const standingReports = pgTable(
  "standing_reports",
  {
    projectId: uuid("project_id")
      .notNull()
      .references(() => projects.id, { onDelete: "cascade" }),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    scheduledFor: time("scheduled_for").notNull(),
    taskId: uuid("task_id")
      .notNull()
      .references(() => tasks.id, { onDelete: "cascade" }),
    attempt: integer("attempt").notNull(),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.hostId, table.scheduledFor] })],
);
