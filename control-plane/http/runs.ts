import { z } from "zod";
import { pageOf } from "../../protocol/paging.ts";
import { runDetailSchema, runSchema, runsQuerySchema } from "../../protocol/run.ts";
import { deliverAlerts } from "../alerts/deliver.ts";
import { evaluateAlerts } from "../alerts/evaluate.ts";
import { readRun, readRuns } from "../db/queries/runs.ts";
import { cancelRun } from "../dispatch/cancel.ts";
import { retryRun } from "../dispatch/resync.ts";
import { materialiseDue } from "../schedule/materialise.ts";
import { change, type Operation, read } from "./operation.ts";
import { idParams } from "./params.ts";

const tag = "runs";
/** As long may a tick deliver: who sends it waits. */
const tickSeconds = 25;
const one = { path: "/v1/runs/{id}", tag, params: idParams };

/** Runs; and the tick that a platform's cron may send. */
export const runOperations: Operation[] = [
  read(
    {
      id: "listRuns",
      method: "GET",
      path: "/v1/runs",
      tag,
      access: "viewer",
      summary: "List runs, newest first",
      query: runsQuerySchema,
      answer: pageOf(runSchema),
    },
    (ctx, { query }) => readRuns(ctx, query),
  ),
  read(
    {
      ...one,
      id: "getRun",
      method: "GET",
      access: "viewer",
      summary: "Read a run with its tasks and their progress",
      answer: runDetailSchema,
      errors: ["not-found"],
    },
    (ctx, { params }) => readRun(ctx, params),
  ),
  change(
    {
      ...one,
      id: "cancelRun",
      method: "POST",
      path: `${one.path}/cancel`,
      access: "operator",
      summary: "Cancel a run: what waits at once, what runs when its agent says so",
      answer: runDetailSchema,
      errors: ["not-found", "conflict"],
    },
    async (ctx, { params }) => {
      const before = await readRun(ctx, params);
      await cancelRun(ctx, params);
      const run = await readRun(ctx, params);
      return { answer: run, before: { state: before.state }, after: { state: run.state } };
    },
  ),
  change(
    {
      ...one,
      id: "retryRun",
      method: "POST",
      path: `${one.path}/retry`,
      access: "operator",
      summary: "Try again, in a new run, what failed or was cancelled in this one",
      answer: runDetailSchema,
      status: 201,
      errors: ["not-found", "conflict"],
    },
    async (ctx, { params }) => {
      const id = await retryRun(ctx, params);
      const run = await readRun(ctx, { id });
      return { answer: run, location: `/v1/runs/${id}`, after: { run: id } };
    },
  ),
  read(
    {
      id: "tick",
      method: "POST",
      path: "/v1/tick",
      tag,
      access: "operator",
      summary:
        "Start what is due, and tell of alerts; for platforms without timers. Doing it twice does nothing",
      answer: z.object({
        projects: z.int(),
        messages: z.int().meta({ description: "Of alerts, that were delivered" }),
      }),
    },
    async (ctx) => {
      const projects = await materialiseDue(ctx);
      await evaluateAlerts(ctx);
      const signal = AbortSignal.timeout(tickSeconds * 1000);
      return { projects, messages: await deliverAlerts(ctx, { signal }) };
    },
  ),
];
