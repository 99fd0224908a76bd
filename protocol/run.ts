import { z } from "zod";
import { instant } from "./instant.ts";
import { hostName, projectName } from "./names.ts";
import { pageQuery, queryFlag, queryNumber } from "./paging.ts";
import { progressSchema, resultSchema } from "./report.ts";
import { attemptStates, runStates, taskStates } from "./states.ts";

/** What began a run. */
const triggers = [
  "schedule",
  "manual",
  "push",
  "retry",
  "resync",
  "undo",
  "standing",
  "dry-run",
] as const;
export type Trigger = (typeof triggers)[number];

/** Body of `POST /v1/projects/{name}/sync`. */
export const syncSchema = z.strictObject({
  approveDeletions: z
    .int()
    .min(1)
    .max(2_000_000_000)
    .nullable()
    .default(null)
    .meta({ description: "Lets up to this many deletions go on each host, for this run alone" }),
});

/** Query of `POST /v1/projects/{name}/sync`. */
export const syncQuerySchema = z.strictObject({
  wait: queryFlag
    .optional()
    .meta({ description: "1: answer when the run has ended, or after 10 minutes" }),
});

export const taskSchema = z.object({
  id: z.uuid(),
  runId: z.uuid(),
  project: z.string(),
  host: z.string(),
  role: z.enum(["master", "ftp"]),
  dryRun: z.boolean().meta({ description: "It only lists what a pull would do" }),
  state: z.enum(taskStates),
  cancelRequested: z.boolean(),
  attempt: z.int(),
  maxAttempts: z.int(),
  progress: progressSchema.nullable(),
  result: resultSchema.nullable(),
  dismissedAt: z.iso
    .datetime()
    .nullable()
    .meta({ description: "When an operator left the deletions that it holds undone" }),
  queuedAt: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
});
export type Task = z.infer<typeof taskSchema>;

export const taskDetailSchema = taskSchema.extend({
  attempts: z.array(
    z.object({
      attempt: z.int(),
      state: z.enum(attemptStates),
      result: resultSchema.nullable(),
      startedAt: z.iso.datetime(),
      finishedAt: z.iso.datetime().nullable(),
    }),
  ),
});
export type TaskDetail = z.infer<typeof taskDetailSchema>;

export const runSchema = z.object({
  id: z.uuid(),
  project: z.string(),
  trigger: z.enum(triggers),
  state: z.enum(runStates),
  reason: z.string().nullable().meta({ description: "Why it was skipped, failed or cancelled" }),
  scheduledFor: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
  generation: z.int().nullable(),
});
export type Run = z.infer<typeof runSchema>;

export const runDetailSchema = runSchema.extend({ tasks: z.array(taskSchema) });
export type RunDetail = z.infer<typeof runDetailSchema>;

/** Query of `GET /v1/runs`. */
export const runsQuerySchema = z.strictObject({
  project: projectName.optional(),
  host: hostName.optional(),
  state: z.enum(runStates).optional(),
  trigger: z.enum(triggers).optional(),
  since: instant.optional().meta({ description: "Made at this time or later" }),
  until: instant.optional().meta({ description: "Made before this time" }),
  ...pageQuery,
});

/** Query of `GET /v1/tasks`. */
export const tasksQuerySchema = z.strictObject({
  project: projectName.optional(),
  host: hostName.optional(),
  run: z.uuid().optional(),
  state: z.enum(taskStates).optional(),
  since: instant.optional().meta({ description: "Queued at this time or later" }),
  until: instant.optional().meta({ description: "Queued before this time" }),
  ...pageQuery,
});

/** Query of `GET /v1/tasks/{id}/log`: bytes of one attempt's log. */
export const logQuerySchema = z.strictObject({
  attempt: queryNumber({ min: 1, max: 1_000_000 })
    .optional()
    .meta({ description: "Default: the latest" }),
  offset: queryNumber({ min: 0, max: 999_999_999 }).default(0).meta({ description: "First byte" }),
  follow: queryFlag
    .optional()
    .meta({ description: "1: go on sending until the attempt has ended, for at most 10 minutes" }),
});
