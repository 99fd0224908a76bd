import { z } from "zod";
import { hostName, networkHost, projectName, relativePath, rootPath } from "./names.ts";
import { pageQuery, queryFlag } from "./paging.ts";
import { rsyncOptionsSchema } from "./rsync.ts";
import { scheduleFields, timeWindowSchema } from "./schedule.ts";
import { traceSchema } from "./trace.ts";

/** Times that were missed while nobody looked: run the latest of them, none, or each of a window. */
const misfirePolicies = ["latest", "skip", "all"] as const;
/** A time that falls due during a run: leave it out, or let one wait. */
const overlapPolicies = ["skip", "queue-one"] as const;

const upstreamUrl = z.string().max(2000);
const defaultOptions = rsyncOptionsSchema.parse({});

/** One rsync of a project that consists of several. */
const partSchema = z.strictObject({
  path: relativePath.meta({ description: "Below the project's path" }),
  upstream: upstreamUrl,
  fallbacks: z.array(upstreamUrl).max(10).default([]),
  sentinel: relativePath.nullable().default(null),
});
export type Part = z.output<typeof partSchema>;

const userName = z
  .string()
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$/,
    "must be a plain user name of at most 63 characters",
  );

/** How to authenticate with an upstream's rsync daemon. The password is written, never read. */
const loginSchema = z.strictObject({
  user: userName,
  password: z
    .string()
    .min(1)
    .max(1000)
    .regex(/^[^\0\r\n]+$/, "must not hold a line break")
    .optional()
    .meta({ description: "Write only; left out: the one that is stored stays" }),
  host: networkHost
    .optional()
    .meta({ description: "Upstream that is given this login; default: the host of `upstream`" }),
});

const bandwidthWindow = timeWindowSchema.safeExtend({
  bandwidthKiBps: z.int().min(1).max(100_000_000),
});
export type BandwidthWindow = z.output<typeof bandwidthWindow>;

const labels = z
  .record(
    z
      .string()
      .regex(/^[a-z0-9][a-z0-9._/-]{0,62}$/, "must be 1 to 63 characters of a-z, 0-9 and ._/-"),
    z
      .string()
      .regex(/^[A-Za-z0-9._-]{0,63}$/, "must be at most 63 characters of A-Z, a-z, 0-9 and ._-"),
  )
  .refine((value) => Object.keys(value).length <= 50, "must hold at most 50 labels");
export const labelsSchema = labels;

const description = "What people call it";

/** Everything about a project that its administrator says; `name` and `master` stay as they were created. */
const projectFields = {
  description: z.string().max(500).default("").meta({ description }),
  upstream: upstreamUrl.nullable().default(null).meta({
    description:
      "`rsync://host[:port]/module[/path]`; null without `parts`: hosted here, its people upload to the master",
  }),
  fallbacks: z
    .array(upstreamUrl)
    .max(10)
    .default([])
    .meta({ description: "Other sources of the same tree, in order of preference" }),
  parts: z.array(partSchema).max(20).default([]).meta({
    description: "Several rsyncs in this order instead of `upstream`, each into a path of its own",
  }),
  sentinel: relativePath.nullable().default(null).meta({
    description:
      "Small file of the upstream that changes when its tree does (`project/trace/master`, `lastupdate`): while it is the same nothing is scanned, and a source whose own is older is passed over",
  }),
  scanEveryHours: z
    .int()
    .min(1)
    .max(8760)
    .default(24)
    .meta({ description: "As often the tree is scanned all the same" }),
  login: loginSchema.nullable().default(null),
  ...scheduleFields,
  misfire: z.enum(misfirePolicies).default("latest").meta({
    description:
      "What becomes of occurrences that were missed: the latest is run, none is (`skip`), or each of `misfireWindowSeconds`, one after the other (`all`)",
  }),
  misfireWindowSeconds: z
    .int()
    .min(60)
    .max(30 * 86_400)
    .default(86_400)
    .meta({ description: "With misfire `all`: what was missed longer ago is left out" }),
  overlap: z.enum(overlapPolicies).default("skip"),
  path: relativePath
    .optional()
    .meta({ description: "Below the mirror root of every host; default: the project's name" }),
  hosts: z
    .array(hostName)
    .max(1000)
    .nullable()
    .default(null)
    .meta({ description: "FTP hosts that carry it; null: those with `labels`" }),
  labels: labels.nullable().default(null).meta({
    description: "FTP hosts with all of these labels carry it; null without `hosts`: all",
  }),
  rsync: rsyncOptionsSchema.default(defaultOptions),
  bandwidthWindows: z.array(bandwidthWindow).max(20).default([]).meta({
    description:
      "Limits in place of `rsync.bandwidthKiBps` for attempts that begin in a window; the first that matches",
  }),
  priority: z.int().min(0).max(100).default(0).meta({
    description:
      "Which task of a host comes first: each point counts as ten minutes that a task has waited",
  }),
  maxAttempts: z.int().min(1).max(100).default(3).meta({ description: "Tries of one task" }),
  retrySeconds: z
    .int()
    .min(1)
    .max(86_400)
    .default(5)
    .meta({ description: "Pause before the second attempt; doubles with each, up to an hour" }),
  wallClockSeconds: z
    .int()
    .min(60, "must be at least 60 seconds")
    .max(30 * 86_400)
    .default(86_400),
  stallSeconds: z
    .int()
    .min(10, "must be at least 10 seconds")
    .max(86_400)
    .default(1800)
    .meta({ description: "Seconds without progress after which an rsync is ended" }),
  maxDeletePercent: z
    .int()
    .min(0)
    .max(100)
    .default(10)
    .meta({ description: "Deletions above this share of the files are held for an operator" }),
  public: z.boolean().default(false).meta({
    description:
      "Its state is shown to everybody, without credentials: names of hosts, upstream, freshness, size, failures",
  }),
  freshWithinSeconds: z
    .int()
    .min(60)
    .max(366 * 86_400)
    .nullable()
    .default(null)
    .meta({
      description:
        "A replica that is not known to equal its source as of so many seconds ago is stale; null: twice the longest pause of the schedule, or a day without one",
    }),
  trace: traceSchema.nullable().default(null).meta({
    description:
      "File that each host writes into the tree after a sync: style `debian` (`project/trace/HOST`) or `timestamp` (`path`, default `.lastsync`)",
  }),
  reconcileDays: z.int().min(1).max(365).default(7).meta({
    description:
      "FTP hosts compare their whole tree with the master's as often; in between they pull by change lists",
  }),
};

/** Body of `POST /v1/projects`. */
export const projectCreateSchema = z.strictObject({
  name: projectName,
  master: hostName
    .optional()
    .meta({ description: "Host that pulls from the upstream; default: the only master" }),
  ...projectFields,
});
export type ProjectCreate = z.input<typeof projectCreateSchema>;
export type ProjectInput = z.output<typeof projectCreateSchema>;

/** Body of `PUT /v1/projects/{name}`: what is left out returns to its default. */
export const projectReplaceSchema = z.strictObject(projectFields);

/** Body of `PATCH /v1/projects/{name}`: a JSON merge patch (RFC 7396) of what may be replaced. */
export const projectPatchSchema = z
  .record(z.string(), z.unknown())
  .meta({ description: "JSON merge patch (RFC 7396): the fields of PUT that change" });

/** Body of `POST /v1/projects/{name}/clone`: the new name, and what differs. */
export const projectCloneSchema = z.looseObject({ name: projectName });

/** Query of `GET /v1/projects`. */
export const projectsQuerySchema = z.strictObject({
  search: z.string().max(100).optional().meta({ description: "Part of a name" }),
  host: hostName.optional().meta({ description: "Carried by this host" }),
  paused: queryFlag.optional(),
  ...pageQuery,
});

/** One project on one host. */
export const replicaSchema = z.object({
  project: z.string(),
  host: z.string(),
  role: z.enum(["master", "ftp"]),
  root: z
    .string()
    .nullable()
    .meta({ description: "Mirror root of the host; null: the host's first" }),
  path: z.string().meta({ description: "Below the mirror root" }),
  source: z.string().meta({ description: "Where it pulls from" }),
  generation: z.int(),
  behind: z.int().meta({ description: "Generations that the project is ahead" }),
  syncedAt: z.iso.datetime().nullable(),
  freshAt: z.iso.datetime().nullable().meta({
    description:
      "When it was last known to be what the source had: a pull that finds nothing new makes all that carry its generation fresh; null: never",
  }),
  stale: z.boolean().meta({ description: "That is longer ago than `freshTargetSeconds`" }),
  scannedAt: z.iso
    .datetime()
    .nullable()
    .meta({ description: "Last comparison of the whole tree; null: the next sync is one" }),
  paused: z.boolean(),
});
export type Replica = z.infer<typeof replicaSchema>;

/** Body of `POST /v1/projects/{project}/replicas/{host}/move`. */
export const replicaMoveSchema = z.strictObject({
  root: rootPath
    .nullable()
    .meta({ description: "One of the host's mirror roots; null: its first" }),
});

/** Query of `GET /v1/replicas`. */
export const replicasQuerySchema = z.strictObject({
  project: projectName.optional(),
  host: hostName.optional(),
  ...pageQuery,
});

export const projectSchema = z.object({
  id: z.uuid(),
  name: z.string(),
  ...projectFields,
  path: z.string(),
  login: z.object({ user: z.string(), host: z.string(), passwordSet: z.boolean() }).nullable(),
  version: z.int().meta({ description: "Goes up with every change; the ETag" }),
  paused: z.boolean(),
  generation: z.int(),
  freshTargetSeconds: z
    .int()
    .meta({ description: "`freshWithinSeconds`, or what was derived for it" }),
  files: z.int().meta({ description: "Entries of the tree at its last scan" }),
  bytes: z.int().meta({ description: "Bytes of its files at its last scan" }),
  nextRunAt: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime(),
  replicas: z.array(replicaSchema),
});
export type Project = z.infer<typeof projectSchema>;
