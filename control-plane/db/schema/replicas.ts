import { sql } from "drizzle-orm";
import {
  bigint,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import type { Role } from "../../../protocol/host.ts";
import { time } from "./columns.ts";
import { hosts } from "./hosts.ts";
import { projects } from "./projects.ts";

export const replicas = pgTable(
  "replicas",
  {
    projectId: uuid("project_id")
      .notNull()
      .references(() => projects.id, { onDelete: "cascade" }),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    role: text("role").$type<Role>().notNull(),
    generation: bigint("generation", { mode: "number" }).notNull().default(0),
    /** Mirror root where it is to be; null: the host's first. */
    root: text("root"),
    /** Mirror root where `generation` is; while it moves, another than `root`. */
    syncedRoot: text("synced_root"),
    syncedAt: time("synced_at"),
    /** When it was last known to be what the source had; of one that carries what is published, the project's counts. */
    freshAt: time("fresh_at"),
    /** Last comparison of the whole tree; null: change lists must not be relied on. */
    scannedAt: time("scanned_at"),
    pausedAt: time("paused_at"),
  },
  (table) => [
    primaryKey({ columns: [table.projectId, table.hostId] }),
    index("replicas_of_host").on(table.hostId),
    uniqueIndex("replicas_one_master")
      .on(table.projectId)
      .where(sql`${table.role} = 'master'`),
  ],
);

/** The change lists that masters hold, of generations that are published. */
export const changeLists = pgTable(
  "change_lists",
  {
    projectId: uuid("project_id")
      .notNull()
      .references(() => projects.id, { onDelete: "cascade" }),
    generation: bigint("generation", { mode: "number" }).notNull(),
    /** SHA-256, hex. */
    digest: text("digest").notNull(),
    entries: integer("entries").notNull(),
  },
  (table) => [primaryKey({ columns: [table.projectId, table.generation] })],
);
