import { z } from "zod";
import { hostName, projectName, relativePath } from "./names.ts";
import { progressSchema, resultSchema } from "./report.ts";
import { rsyncOptionsSchema } from "./rsync.ts";
import { runStates, taskStates } from "./states.ts";

/** Times that were missed while nobody looked: run the latest of them, or none. */
const misfirePolicies = ["latest", "skip"] as const;
/** A time that falls due during a run: leave it out, or let one wait. */
const overlapPolicies = ["skip", "queue-one"] as const;

const defaultOptions = rsyncOptionsSchema.parse({});

/** Body of `POST /v1/projects`. */
export const projectCreateSchema = z.strictObject({
  name: projectName,
  /** `rsync://host[:port]/module[/path]`; null: hosted here, its people upload to the master. */
  upstream: z.string().max(2000).nullable().default(null),
  /** Cron expression of 5 fields, or 6 with seconds first; null: only when triggered. */
  schedule: z.string().max(200).nullable().default(null),
  /** IANA time zone of the schedule. */
  zone: z.string().max(100).default("UTC"),
  misfire: z.enum(misfirePolicies).default("latest"),
  overlap: z.enum(overlapPolicies).default("skip"),
  /** Below the mirror root of every host; default: the project's name. */
  path: relativePath.optional(),
  /** Host that pulls from the upstream; default: the fleet's only master. */
  master: hostName.optional(),
  /** FTP hosts that carry the project; default: all of them at this moment. */
  hosts: z.array(hostName).max(1000).optional(),
  rsync: rsyncOptionsSchema.default(defaultOptions),
  /** Tries of one task before it has failed. */
  maxAttempts: z.int().min(1).max(100).default(3),
  wallClockSeconds: z
    .int()
    .min(60, "must be at least 60 seconds")
    .max(30 * 86_400)
    .default(86_400),
  stallSeconds: z.int().min(10, "must be at least 10 seconds").max(86_400).default(1800),
  /** Deletions above this share of the files are held until an operator approves. */
  maxDeletePercent: z.int().min(0).max(100).default(10),
});
export type ProjectCreate = z.input<typeof projectCreateSchema>;

/** One project on one host. */
const replicaSchema = z.object({
  host: z.string(),
  role: z.enum(["master", "ftp"]),
  generation: z.int(),
  syncedAt: z.iso.datetime().nullable(),
});

export const projectSchema = projectCreateSchema
  .omit({ master: true, hosts: true, path: true })
  .extend({
    id: z.uuid(),
    path: z.string(),
    generation: z.int(),
    nextRunAt: z.iso.datetime().nullable(),
    createdAt: z.iso.datetime(),
    replicas: z.array(replicaSchema),
  });
export type Project = z.infer<typeof projectSchema>;

/** Body of `POST /v1/projects/{name}/runs`. */
export const triggerSchema = z.strictObject({
  /** Approves up to this many deletions on each host for this run alone. */
  approveDeletions: z.int().min(1).nullable().default(null),
});

const taskSchema = z.object({
  id: z.uuid(),
  runId: z.uuid(),
  project: z.string(),
  host: z.string(),
  role: z.enum(["master", "ftp"]),
  state: z.enum(taskStates),
  attempt: z.int(),
  maxAttempts: z.int(),
  progress: progressSchema.nullable(),
  result: resultSchema.nullable(),
  queuedAt: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
});
export type Task = z.infer<typeof taskSchema>;

export const runSchema = z.object({
  id: z.uuid(),
  project: z.string(),
  trigger: z.enum(["schedule", "manual"]),
  state: z.enum(runStates),
  /** Why a run was skipped or failed. */
  reason: z.string().nullable(),
  scheduledFor: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
  generation: z.int().nullable(),
});
export type Run = z.infer<typeof runSchema>;

export const runDetailSchema = runSchema.extend({ tasks: z.array(taskSchema) });
export type RunDetail = z.infer<typeof runDetailSchema>;
