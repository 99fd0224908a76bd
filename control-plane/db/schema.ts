import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  customType,
  date,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import type { Alert, AlertCondition, MessageKind, ReceiverKind } from "../../protocol/alert.ts";
import type { HostFacts, Root, SealingKey, SigningKey } from "../../protocol/fleet.ts";
import type { Role } from "../../protocol/host.ts";
import type { Instance } from "../../protocol/instance.ts";
import type { BandwidthWindow, Part } from "../../protocol/project.ts";
import type { Progress, Result } from "../../protocol/report.ts";
import type { RsyncOptions } from "../../protocol/rsync.ts";
import type { Trigger } from "../../protocol/run.ts";
import type { TimeWindow } from "../../protocol/schedule.ts";
import type { Site } from "../../protocol/site.ts";
import type { AttemptState, RunState, TaskState } from "../../protocol/states.ts";
import type { TokenScope } from "../../protocol/token.ts";
import type { Trace } from "../../protocol/trace.ts";

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

const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });
const time = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });
const createdAt = () => time("created_at").notNull().defaultNow();
const id = () => uuid("id").primaryKey().defaultRandom();

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

export const operatorTokens = pgTable("operator_tokens", {
  id: id(),
  name: text("name").notNull(),
  scope: text("scope").$type<TokenScope>().notNull(),
  /** SHA-256 of the token, which is random and long: no salt needed. */
  hash: bytea("hash").notNull().unique(),
  createdAt: createdAt(),
  expiresAt: time("expires_at"),
  /** To the minute. */
  lastUsedAt: time("last_used_at"),
  revokedAt: time("revoked_at"),
});

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
  ],
);

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

/** Every change that an operator made, without secrets. */
export const auditEvents = pgTable(
  "audit_events",
  {
    id: id(),
    at: time("at").notNull(),
    actor: text("actor").notNull(),
    action: text("action").notNull(),
    target: text("target").notNull(),
    before: jsonb("before").$type<unknown>(),
    after: jsonb("after").$type<unknown>(),
  },
  (table) => [index("audit_events_latest").on(table.at)],
);

/** Answers to requests with an Idempotency-Key, written in the transaction of what they did. */
export const idempotentAnswers = pgTable(
  "idempotent_answers",
  {
    actor: text("actor").notNull(),
    key: text("key").notNull(),
    /** SHA-256 of method, path and body. */
    request: bytea("request").notNull(),
    status: integer("status").notNull().default(0),
    body: text("body").notNull().default(""),
    createdAt: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.actor, table.key] }),
    index("idempotent_answers_oldest").on(table.createdAt),
  ],
);

/** What is wrong, or was. Subjects are names: an alert outlives what it is about. "": it has none. */
export const alerts = pgTable(
  "alerts",
  {
    id: id(),
    condition: text("condition").$type<AlertCondition>().notNull(),
    project: text("project").notNull(),
    host: text("host").notNull(),
    root: text("root").notNull(),
    detail: text("detail").notNull(),
    openedAt: time("opened_at").notNull(),
    /** Since when the condition has not been seen: it ends when that has lasted. */
    awayAt: time("away_at"),
    closedAt: time("closed_at"),
  },
  (table) => [
    uniqueIndex("alerts_open")
      .on(table.condition, table.project, table.host, table.root)
      .where(sql`${table.closedAt} is null`),
    index("alerts_latest").on(table.openedAt),
  ],
);

/** Who is told of alerts. */
export const alertReceivers = pgTable("alert_receivers", {
  id: id(),
  name: text("name").notNull().unique(),
  kind: text("kind").$type<ReceiverKind>().notNull(),
  /** Scheme and host of the URL. */
  address: text("address").notNull(),
  /** JWE of URL and secret with a key that is not in the database. */
  sealed: text("sealed").notNull(),
  room: text("room"),
  sender: text("sender"),
  recipients: text("recipients").array().notNull(),
  conditions: text("conditions").array().$type<AlertCondition[]>().notNull(),
  projects: text("projects").array(),
  hosts: text("hosts").array(),
  remindHours: integer("remind_hours"),
  silencedUntil: time("silenced_until"),
  createdAt: createdAt(),
});

/** What a receiver has been told that has not ended, and when last. */
export const alertsTold = pgTable(
  "alerts_told",
  {
    receiverId: uuid("receiver_id")
      .notNull()
      .references(() => alertReceivers.id, { onDelete: "cascade" }),
    alertId: uuid("alert_id")
      .notNull()
      .references(() => alerts.id, { onDelete: "cascade" }),
    toldAt: time("told_at").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.receiverId, table.alertId] }),
    index("alerts_told_alert").on(table.alertId),
  ],
);

/** Messages that are to be delivered, or were: written in the transaction of what they tell. */
export const alertMessages = pgTable(
  "alert_messages",
  {
    id: id(),
    /** A receiver gets them in this order. */
    number: bigint("number", { mode: "number" }).notNull().generatedAlwaysAsIdentity(),
    receiverId: uuid("receiver_id")
      .notNull()
      .references(() => alertReceivers.id, { onDelete: "cascade" }),
    kind: text("kind").$type<MessageKind>().notNull(),
    /** The first of them. */
    alerts: jsonb("alerts").$type<Alert[]>().notNull(),
    total: integer("total").notNull(),
    createdAt: time("created_at").notNull(),
    attempts: integer("attempts").notNull().default(0),
    /** Not sent before: while it is being sent, and after a failure. */
    notBefore: time("not_before").notNull(),
    error: text("error"),
    deliveredAt: time("delivered_at"),
    givenUpAt: time("given_up_at"),
  },
  (table) => [
    uniqueIndex("alert_messages_waiting")
      .on(table.receiverId, table.number)
      .where(sql`${table.deliveredAt} is null and ${table.givenUpAt} is null`),
    index("alert_messages_of_receiver").on(table.receiverId, table.deliveredAt),
    index("alert_messages_oldest").on(table.createdAt),
  ],
);
