import { z } from "zod";
import { outcomes } from "./states.ts";

const count = z.int().min(0);

/** How far an rsync is; from `--info=progress2`. */
export const progressSchema = z.strictObject({
  /** Bytes of file data that the destination has so far. */
  bytes: count,
  /** Share of the known bytes, 0 to 100. */
  percent: z.int().min(0).max(100),
  /** Bytes per second, of late. */
  bytesPerSecond: count,
  filesTransferred: count,
  filesChecked: count,
  /** Files known so far; grows while the source is still being listed. */
  filesTotal: count,
});
export type Progress = z.infer<typeof progressSchema>;

/** What an rsync did; from `--stats`. Counts of files, sizes in bytes. */
const syncStatsSchema = z.strictObject({
  files: count,
  created: count,
  deleted: count,
  transferred: count,
  totalBytes: count,
  transferredBytes: count,
  literalBytes: count,
  matchedBytes: count,
  sentBytes: count,
  receivedBytes: count,
});
export type SyncStats = z.infer<typeof syncStatsSchema>;

/** Body of `POST /v1/tasks/{id}/heartbeat`. */
export const heartbeatSchema = z.strictObject({ progress: progressSchema.nullable() });

/** Answer to a heartbeat. */
export const heartbeatAnswerSchema = z.object({
  leaseSeconds: z.int(),
  /** Seconds to the next heartbeat; the agent moves each by up to a fifth. */
  heartbeatSeconds: z.number().positive(),
  /** An operator cancelled the task: end rsync and report `cancelled`. */
  cancel: z.boolean(),
});
export type HeartbeatAnswer = z.infer<typeof heartbeatAnswerSchema>;

/** Answer to a piece of log. */
export const logAnswerSchema = z.object({
  /** Where the next piece is to begin: the control plane has every byte before it. */
  nextOffset: z.int().min(0),
  /** As in a heartbeat's answer. */
  cancel: z.boolean(),
});
export type LogAnswer = z.infer<typeof logAnswerSchema>;

/** Longest log chunk in bytes; a longer body is refused. */
export const maxLogChunkBytes = 256 * 1024;

/** Largest JSON body in bytes that the control plane reads. */
export const maxBodyBytes = 1024 * 1024;

/** A change list as its master has it. */
const changeListSchema = z.strictObject({
  generation: z.int().min(1),
  /** SHA-256, hex. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  /** Lines: one for each thing that happened to a path. */
  entries: count,
});
export type ChangeList = z.infer<typeof changeListSchema>;

/** Deletions that the guard did not let go. */
const heldSchema = z.strictObject({
  deletions: count,
  /** Entries of the source and of what would be deleted, together. */
  entries: count,
  examples: z.array(z.string().max(500)).max(5),
  /** Where most of them are, by the first two directories of their paths. */
  directories: z.array(z.strictObject({ path: z.string().max(500), deletions: count })).max(5),
});
export type Held = z.infer<typeof heldSchema>;

const wouldSchema = z.strictObject({
  entries: count,
  examples: z.array(z.string().max(500)).max(20),
});

/** What a pull would do, by a dry run. Counts of entries: files, links and directories. */
const dryRunSchema = z.strictObject({
  created: wouldSchema,
  changed: wouldSchema,
  deleted: wouldSchema,
  /** Size of the files that would be fetched, of those that are new or differ. */
  bytes: count,
  /** Entries of the source, and the size of its files. */
  files: count,
  totalBytes: count,
  /** Why a pull would hold the deletions for an operator; null: it would not. */
  held: z.string().max(1000).nullable(),
});
export type DryRun = z.infer<typeof dryRunSchema>;

/** Body of `POST /v1/tasks/{id}/result`: how one attempt ended. */
export const resultSchema = z.strictObject({
  outcome: z.enum(outcomes),
  exitCode: z.int().min(0).max(255).nullable(),
  message: z.string().max(4000),
  /** Paths that were created, changed or deleted; 0 means the tree is as it was. */
  changes: count,
  stats: syncStatsSchema.nullable(),
  /** Of a pull from an upstream: the list of what it changed; null where there is none that is whole. */
  changeList: changeListSchema.nullable().default(null),
  /** Of a pull from an upstream: the tree may differ from the published one by more than `changes` and the list say. */
  uncertain: z.boolean().default(false),
  /** The whole tree was compared. */
  scanned: z.boolean().default(false),
  /** Of a scan that should have found nothing to do: what it did. */
  drift: z
    .strictObject({ entries: count, examples: z.array(z.string().max(500)).max(5) })
    .nullable()
    .default(null),
  /** Of an attempt that is held. */
  held: heldSchema.nullable().default(null),
  /** Of a dry run that got through the whole tree. Left out of all others: control planes before it know none. */
  dryRun: dryRunSchema.optional(),
  /** Wall-clock seconds of the agent's work on this attempt. */
  seconds: z.number().min(0).max(1e9),
  /** Length in bytes of the whole log; chunks below it have been delivered. */
  logBytes: count,
});
export type Result = z.infer<typeof resultSchema>;

/** What an agent finds out about an attempt; the length of the log is the spool's. */
export type Report = Omit<Result, "logBytes">;

/** Of an attempt that changed nothing on disk. */
export const nothingDone = {
  exitCode: null,
  changes: 0,
  stats: null,
  seconds: 0,
  changeList: null,
  uncertain: false,
  scanned: false,
  drift: null,
  held: null,
} as const satisfies Partial<Report>;
