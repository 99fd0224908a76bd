import { sql } from "drizzle-orm";
import { bigint, index, integer, pgTable, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import type { Trigger } from "../../../protocol/run.ts";
import type { RunState } from "../../../protocol/states.ts";
import { createdAt, id, time } from "./columns.ts";
import { projects } from "./projects.ts";

export const runs = pgTable(
  "runs",
  {
    id: id(),
    projectId: uuid("project_id")
      .notNull()
      .references(() => projects.id, { onDelete: "cascade" }),
    trigger: text("trigger").$type<Trigger>().notNull(),
    state: text("state").$type<RunState>().notNull(),
    reason: text("reason"),
    scheduledFor: time("scheduled_for").notNull(),
    /** Deletions on each host that an operator approved for this run. */
    approvedDeletions: integer("approved_deletions"),
    /** The state that this run published or carried. */
    generation: bigint("generation", { mode: "number" }),
    startedAt: time("started_at"),
    finishedAt: time("finished_at"),
    createdAt: createdAt(),
  },
  (table) => [
    // One run an occurrence, whoever materialises it.
    uniqueIndex("runs_occurrence")
      .on(table.projectId, table.scheduledFor)
      .where(sql`${table.trigger} = 'schedule'`),
    // One run of what hosts did by themselves for an occurrence.
    uniqueIndex("runs_standing")
      .on(table.projectId, table.scheduledFor)
      .where(sql`${table.trigger} = 'standing'`),
    // One pull of a project at a time, and at most one run behind it.
    uniqueIndex("runs_one_running")
      .on(table.projectId)
      .where(sql`${table.state} = 'running'`),
    uniqueIndex("runs_one_queued")
      .on(table.projectId)
      .where(sql`${table.state} = 'queued'`),
    // What is under way is found without a look at what has ended.
    index("runs_active")
      .on(table.projectId)
      .where(sql`${table.state} in ('queued', 'running', 'distributing')`),
    index("runs_latest").on(table.createdAt),
    index("runs_of_project").on(table.projectId, table.createdAt),
    // Those that published or carried a state, however many there are of it.
    index("runs_of_generation")
      .on(table.projectId, table.generation, table.createdAt)
      .where(sql`${table.generation} is not null`),
  ],
);
