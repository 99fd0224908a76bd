import type { Context } from "hono";
import { stream } from "hono/streaming";
import { pageOf } from "../../protocol/paging.ts";
import {
  logQuerySchema,
  runDetailSchema,
  taskDetailSchema,
  taskSchema,
  tasksQuerySchema,
} from "../../protocol/run.ts";
import { readRun } from "../db/queries/runs.ts";
import { readTask, readTasks } from "../db/queries/tasks.ts";
import type { Ctx } from "../context.ts";
import { findLog, logLength, readLog } from "../db/queries/log-chunks.ts";
import { cancelTask } from "../dispatch/cancel.ts";
import { followLog } from "../dispatch/follow-log.ts";
import { approveHeld, dismissHeld, retryTask } from "../dispatch/resync.ts";
import { byteRange } from "./byte-range.ts";
import { change, type Operation, raw, read } from "./operation.ts";
import { idParams } from "./params.ts";

const tag = "tasks";
const one = { path: "/v1/tasks/{id}", tag, params: idParams };

/** Answers a log from a byte on or, of the whole, the range that the request asks for. */
async function answerLog(
  ctx: Ctx,
  c: Context,
  log: { taskId: string; attempt: number; offset: number },
): Promise<Response> {
  c.header("accept-ranges", "bytes");
  const asked = log.offset === 0 ? c.req.header("range") : undefined;
  if (asked === undefined) return c.body(new Uint8Array(await readLog(ctx, log)));
  const length = await logLength(ctx, log);
  // Also for the refusal: RFC 9110 wants the length told.
  c.header("content-range", `bytes */${length}`);
  const range = byteRange(asked, { length });
  const { from, to } = range ?? { from: 0, to: length };
  const bytes = new Uint8Array(await readLog(ctx, { ...log, offset: from, end: to }));
  c.header("content-range", range ? `bytes ${from}-${to - 1}/${length}` : undefined);
  return c.body(bytes, range ? 206 : 200);
}

/** Tasks and their logs. */
export const taskOperations: Operation[] = [
  read(
    {
      id: "listTasks",
      method: "GET",
      path: "/v1/tasks",
      tag,
      access: "viewer",
      summary: "List tasks, newest first",
      query: tasksQuerySchema,
      answer: pageOf(taskSchema),
    },
    (ctx, { query }) => readTasks(ctx, query),
  ),
  read(
    {
      ...one,
      id: "getTask",
      method: "GET",
      access: "viewer",
      summary: "Read a task with its attempts",
      answer: taskDetailSchema,
      errors: ["not-found"],
    },
    (ctx, { params }) => readTask(ctx, params),
  ),
  change(
    {
      ...one,
      id: "cancelTask",
      method: "POST",
      path: `${one.path}/cancel`,
      access: "operator",
      summary: "Cancel a task: at once while it waits, else when its agent says so",
      answer: taskDetailSchema,
      errors: ["not-found", "conflict"],
    },
    async (ctx, { params }) => {
      const before = await readTask(ctx, params);
      await cancelTask(ctx, params);
      const task = await readTask(ctx, params);
      return { answer: task, before: { state: before.state }, after: { state: task.state } };
    },
  ),
  change(
    {
      ...one,
      id: "retryTask",
      method: "POST",
      path: `${one.path}/retry`,
      access: "operator",
      summary: "Try a failed or cancelled task again, in a new run",
      answer: runDetailSchema,
      status: 201,
      errors: ["not-found", "conflict"],
    },
    async (ctx, { params }) => {
      const id = await retryTask(ctx, params);
      const run = await readRun(ctx, { id });
      return { answer: run, location: `/v1/runs/${id}`, after: { run: id } };
    },
  ),
  change(
    {
      ...one,
      id: "approveTask",
      method: "POST",
      path: `${one.path}/approve`,
      access: "operator",
      summary: "Let the deletions that a task holds go, once, in a new run",
      answer: runDetailSchema,
      status: 201,
      errors: ["not-found", "conflict"],
    },
    async (ctx, { params }) => {
      const { result } = await readTask(ctx, params);
      const id = await approveHeld(ctx, params);
      const run = await readRun(ctx, { id });
      const after = { run: id, deletions: result?.held?.deletions };
      return { answer: run, location: `/v1/runs/${id}`, after };
    },
  ),
  change(
    {
      ...one,
      id: "dismissTask",
      method: "POST",
      path: `${one.path}/dismiss`,
      access: "operator",
      summary: "Leave the files that a task's deletions concern; the next sync asks again",
      answer: taskDetailSchema,
      errors: ["not-found", "conflict"],
    },
    async (ctx, { params }) => {
      await dismissHeld(ctx, params);
      const task = await readTask(ctx, params);
      return { answer: task, after: { dismissedAt: task.dismissedAt } };
    },
  ),
  raw(
    {
      ...one,
      id: "getTaskLog",
      method: "GET",
      path: `${one.path}/log`,
      access: "viewer",
      summary: "Read the log of an attempt, all of it, a range, or from a byte on; or follow it",
      query: logQuerySchema,
      answer: "text/plain; charset=utf-8",
      errors: ["not-found"],
      ranged: true,
    },
    async (ctx, c, { params, query }) => {
      const { attempt } = await findLog(ctx, { taskId: params.id, attempt: query.attempt });
      const log = { taskId: params.id, attempt, offset: query.offset };
      c.header("content-type", "text/plain; charset=utf-8");
      if (!query.follow) return answerLog(ctx, c, log);
      return stream(c, async (out) => {
        const gone = new AbortController();
        out.onAbort(() => gone.abort());
        for await (const bytes of followLog(ctx, { ...log, signal: gone.signal }))
          await out.write(bytes);
      });
    },
  ),
];
