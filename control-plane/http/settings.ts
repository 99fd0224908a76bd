import { pageOf } from "../../protocol/paging.ts";
import {
  auditEventSchema,
  auditQuerySchema,
  fleetPauseSchema,
  settingsPatchSchema,
  settingsSchema,
  statusSchema,
} from "../../protocol/settings.ts";
import { readAuditEvents } from "../db/queries/audit-events.ts";
import { readSettings, readStatus, updateSettings } from "../db/queries/settings.ts";
import { pauseFleet, resumeFleet } from "../fleet/pauses.ts";
import { change, type Operation, read } from "./operation.ts";

const tag = "fleet";
const path = "/v1/settings";

/** What concerns the whole fleet: its status, its settings, and who changed what. */
export const settingsOperations: Operation[] = [
  read(
    {
      id: "getStatus",
      method: "GET",
      path: "/v1/status",
      tag,
      access: "viewer",
      summary: "What an operator wants to know first",
      answer: statusSchema,
    },
    (ctx) => readStatus(ctx),
  ),
  read(
    {
      id: "getSettings",
      method: "GET",
      path,
      tag,
      access: "viewer",
      summary: "Read the settings of the fleet",
      answer: settingsSchema,
    },
    (ctx) => readSettings(ctx),
  ),
  change(
    {
      id: "patchSettings",
      method: "PATCH",
      path,
      tag,
      access: "admin",
      summary:
        "Change the settings of the fleet: pulls at a time from one upstream host, what is kept, whether hosts may go on by themselves",
      body: settingsPatchSchema,
      answer: settingsSchema,
      example: {
        upstreamParallel: 2,
        upstreamParallelOf: { "ftp.debian.org": 1 },
        keepRunsDays: 180,
      },
    },
    async (ctx, { body }) => {
      const before = await readSettings(ctx);
      const { upstreamParallelOf, ...values } = body;
      // Drizzle leaves out what is undefined: a field that is not named stays as it is.
      await updateSettings(ctx, (settings) => ({
        ...values,
        upstreamParallelOf: Object.fromEntries(
          Object.entries({ ...settings.upstreamParallelOf, ...upstreamParallelOf }).filter(
            (entry): entry is [string, number] => entry[1] !== null,
          ),
        ),
      }));
      const after = await readSettings(ctx);
      return { answer: after, before, after };
    },
  ),
  change(
    {
      id: "pauseFleet",
      method: "POST",
      path: `${path}/pause`,
      tag,
      access: "operator",
      summary: "Stop everything in the fleet, for emergencies: nothing is started any more",
      body: fleetPauseSchema,
      answer: settingsSchema,
      example: { reason: "disk array of the master is being rebuilt", cancelRunning: true },
    },
    async (ctx, { body }) => {
      const { before, after } = await pauseFleet(ctx, body);
      return { answer: after, before, after };
    },
  ),
  change(
    {
      id: "resumeFleet",
      method: "POST",
      path: `${path}/resume`,
      tag,
      access: "operator",
      summary: "Let the fleet go on; what was missed follows each project's misfire policy",
      answer: settingsSchema,
    },
    async (ctx) => {
      const { before, after } = await resumeFleet(ctx);
      return { answer: after, before, after };
    },
  ),
  read(
    {
      id: "listAuditEvents",
      method: "GET",
      path: "/v1/audit-events",
      tag,
      access: "admin",
      summary: "List who changed what, newest first",
      query: auditQuerySchema,
      answer: pageOf(auditEventSchema),
    },
    (ctx, { query }) => readAuditEvents(ctx, query),
  ),
];
