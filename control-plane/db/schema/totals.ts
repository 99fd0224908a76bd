import { bigint, doublePrecision, pgTable, primaryKey, text, uuid } from "drizzle-orm/pg-core";
import type { RunState } from "../../../protocol/states.ts";
import { hosts } from "./hosts.ts";
import { projects } from "./projects.ts";

/** Runs that have ended, by how, also of those that are removed since. */
export const runTotals = pgTable(
  "run_totals",
  {
    projectId: uuid("project_id")
      .notNull()
      .references(() => projects.id, { onDelete: "cascade" }),
    state: text("state").$type<RunState>().notNull(),
    runs: bigint("runs", { mode: "number" }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.state] })],
);

/** Attempts that have ended, by outcome or "lost". Rows outlive their project: a host's sums go on. */
export const attemptTotals = pgTable(
  "attempt_totals",
  {
    projectId: uuid("project_id").notNull(),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    outcome: text("outcome").notNull(),
    attempts: bigint("attempts", { mode: "number" }).notNull(),
    seconds: doublePrecision("seconds").notNull(),
    receivedBytes: bigint("received_bytes", { mode: "number" }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.hostId, table.outcome] })],
);

/** How long tasks waited for their hosts: so many up to a bound, and above the one before. */
export const waitTotals = pgTable(
  "wait_totals",
  {
    projectId: uuid("project_id").notNull(),
    bound: doublePrecision("bound").notNull(),
    tasks: bigint("tasks", { mode: "number" }).notNull(),
    seconds: doublePrecision("seconds").notNull(),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.bound] })],
);
