import {
  bigint,
  date,
  doublePrecision,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uuid,
} from "drizzle-orm/pg-core";
import type { HostFacts, Root, SealingKey, SigningKey } from "../../../protocol/fleet.ts";
import type { Role } from "../../../protocol/host.ts";
import type { Instance } from "../../../protocol/instance.ts";
import { bytea, createdAt, id, time } from "./columns.ts";

/** A process that was a host's agent, and since when (ISO 8601), for people. */
export type AgentProcess = Instance & { since: string };

/** What is known of the processes that were a host's agent. */
export type Instances = {
  current: AgentProcess;
  /** Those before it, the latest first. */
  before: AgentProcess[];
  /** Made anew with each `current`, and told to any process that is another one: who says it is alive now. */
  confirm: string;
};

export const hosts = pgTable("hosts", {
  id: id(),
  name: text("name").notNull().unique(),
  roles: text("roles").array().$type<Role[]>().notNull(),
  addresses: text("addresses").array().notNull(),
  labels: jsonb("labels").$type<Record<string, string>>().notNull().default({}),
  /** Tasks at a time; null: as its agent is set. */
  parallel: integer("parallel"),
  drainedAt: time("drained_at"),
  /** FTP hosts that may pull from this master at a time; null: all. */
  serves: integer("serves"),
  signingKey: jsonb("signing_key").$type<SigningKey>(),
  sealingKey: jsonb("sealing_key").$type<SealingKey>(),
  enrolledAt: time("enrolled_at"),
  revokedAt: time("revoked_at"),
  lastSeenAt: time("last_seen_at"),
  agentVersion: text("agent_version"),
  /** The rsync daemon that a master's agent runs. */
  daemonPort: integer("daemon_port"),
  /** Mirror roots, the default first. */
  roots: jsonb("roots").$type<Root[]>().notNull().default([]),
  /** What its agent has looked up of the machine, and when it said so. */
  facts: jsonb("facts").$type<HostFacts>(),
  factsAt: time("facts_at"),
  /** How far the host's clock is ahead of the database's, in seconds. */
  clockSkewSeconds: doublePrecision("clock_skew_seconds"),
  /** The process that its agent is at present; null: not known. */
  instance: uuid("instance"),
  /** What is known of that process and of those before it: see dispatch/judge-instance.ts. */
  instances: jsonb("instances").$type<Instances>(),
  /** Its key is in use on two machines: no tasks, until an operator says which one it is. */
  quarantinedAt: time("quarantined_at"),
  quarantineReason: text("quarantine_reason").notNull().default(""),
  createdAt: createdAt(),
});

/** How much was free below a mirror root, one a day. */
export const diskSamples = pgTable(
  "disk_samples",
  {
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id, { onDelete: "cascade" }),
    root: text("root").notNull(),
    day: date("day").notNull(),
    freeBytes: bigint("free_bytes", { mode: "number" }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.hostId, table.root, table.day] })],
);

export const enrolmentTokens = pgTable("enrolment_tokens", {
  id: id(),
  hostId: uuid("host_id")
    .notNull()
    .references(() => hosts.id, { onDelete: "cascade" }),
  hash: bytea("hash").notNull().unique(),
  /** Public key (`x`) of what signs the join request; null: made before there were any. */
  joinKey: text("join_key").unique(),
  expiresAt: time("expires_at").notNull(),
  usedAt: time("used_at"),
  createdAt: createdAt(),
});
