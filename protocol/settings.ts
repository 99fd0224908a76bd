import { z } from "zod";
import { instant } from "./instant.ts";
import { networkHost } from "./names.ts";
import { pageQuery } from "./paging.ts";
import { siteSchema } from "./site.ts";
import { runStates } from "./states.ts";

const keepDays = (what: string) =>
  z
    .int()
    .min(1)
    .max(36_500)
    .nullable()
    .optional()
    .meta({ description: `Days for which ${what}; null: for ever` });

/** Body of `PATCH /v1/settings`. */
export const settingsPatchSchema = z.strictObject({
  upstreamParallel: z
    .int()
    .min(1)
    .max(1000)
    .nullable()
    .optional()
    .meta({ description: "Pulls at a time from one upstream host; null: no limit" }),
  upstreamParallelOf: z.record(networkHost, z.int().min(1).max(1000).nullable()).optional().meta({
    description:
      "Limits of single upstream hosts, merged into those there are; null takes one away",
  }),
  keepRunsDays: keepDays(
    "runs that have ended are kept, with their tasks and results; what shows the present state of a project or a replica always is",
  ),
  keepLogsDays: keepDays("logs of tasks that have ended are kept"),
  keepAuditDays: keepDays("audit events are kept"),
  standingOrders: z
    .boolean()
    .optional()
    .meta({ description: "May hosts that are out of contact follow the schedule by themselves?" }),
  openMetrics: z
    .boolean()
    .optional()
    .meta({ description: "Is `GET /metrics` answered without credentials?" }),
  alertFailedRuns: z
    .int()
    .min(1)
    .max(100)
    .optional()
    .meta({ description: "Alert when so many runs of a project failed one after the other" }),
  alertAwayMinutes: z
    .int()
    .min(2, "must be at least 2: agents poll about twice a minute")
    .max(10_080)
    .optional()
    .meta({ description: "Alert when a host has not been heard for as many minutes" }),
  alertDiskPercent: z
    .int()
    .min(1)
    .max(90)
    .optional()
    .meta({ description: "Alert when less of a mirror root's space or inodes is free" }),
  alertDiskDays: z.int().min(1).max(365).nullable().optional().meta({
    description:
      "Alert when a mirror root will be full within as many days if it goes on; null: not before it nearly is",
  }),
  site: siteSchema
    .nullable()
    .optional()
    .meta({ description: "Who runs the mirror, for mirrorz.json and the feed; null: not said" }),
});

export const settingsSchema = z.object({
  upstreamParallel: z.int().nullable(),
  upstreamParallelOf: z.record(z.string(), z.int()),
  keepRunsDays: z.int().nullable(),
  keepLogsDays: z.int().nullable(),
  keepAuditDays: z.int().nullable(),
  standingOrders: z.boolean(),
  openMetrics: z.boolean(),
  alertFailedRuns: z.int(),
  alertAwayMinutes: z.int(),
  alertDiskPercent: z.int(),
  alertDiskDays: z.int().nullable(),
  site: siteSchema.nullable(),
  paused: z
    .object({ at: z.iso.datetime(), reason: z.string() })
    .nullable()
    .meta({ description: "Nothing syncs in the whole fleet; null: it does" }),
});
export type Settings = z.infer<typeof settingsSchema>;

/** Body of `POST /v1/settings/pause`. */
export const fleetPauseSchema = z.strictObject({
  reason: z.string().max(500).default(""),
  cancelRunning: z
    .boolean()
    .default(false)
    .meta({ description: "Also end what runs now; else it finishes" }),
});

/** What an operator wants to know first. */
export const statusSchema = z.object({
  paused: settingsSchema.shape.paused,
  hosts: z.object({ enrolled: z.int(), inContact: z.int(), drained: z.int() }),
  projects: z.object({ all: z.int(), paused: z.int() }),
  runs: z.partialRecord(z.enum(runStates), z.int()).meta({ description: "Of the last 24 hours" }),
  queuedTasks: z.int(),
  runningTasks: z.int(),
  behind: z.array(z.object({ project: z.string(), host: z.string(), generations: z.int() })).meta({
    description: "Replicas that lack a generation, at most 100; without those of revoked hosts",
  }),
  stale: z
    .array(
      z.object({ project: z.string(), host: z.string(), freshAt: z.iso.datetime().nullable() }),
    )
    .meta({
      description:
        "Replicas that are not fresh, the worst first, at most 100; without those that are paused, of paused projects and of revoked hosts",
    }),
  held: z
    .array(
      z.object({
        task: z.uuid(),
        project: z.string(),
        host: z.string(),
        deletions: z.int(),
        entries: z.int(),
      }),
    )
    .meta({ description: "Deletions that wait for an operator, at most 100" }),
});
export type Status = z.infer<typeof statusSchema>;

/** An audit event: one change, who made it, and what it changed; without secrets. */
export const auditEventSchema = z.object({
  id: z.uuid(),
  at: z.iso.datetime(),
  actor: z.string().meta({ description: "Name of the operator token, or subject of the identity" }),
  action: z.string().meta({ description: "Id of the operation in the OpenAPI document" }),
  target: z.string().meta({ description: "Path of what was changed" }),
  before: z.unknown(),
  after: z.unknown(),
});
export type AuditEvent = z.infer<typeof auditEventSchema>;

/** Query of `GET /v1/audit-events`. */
export const auditQuerySchema = z.strictObject({
  actor: z.string().max(200).optional(),
  action: z.string().max(100).optional(),
  target: z.string().max(500).optional().meta({ description: "Beginning of the target" }),
  since: instant.optional(),
  until: instant.optional(),
  ...pageQuery,
});
