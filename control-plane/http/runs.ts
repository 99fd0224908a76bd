import { Hono } from "hono";
import type { Ctx } from "../context.ts";
import { readRun, readRuns } from "../db/queries/runs.ts";
import { readLog, readTask } from "../db/queries/tasks.ts";
import { materialiseDue } from "../schedule/materialise.ts";
import { operator } from "./guards.ts";
import { idParam, logQuerySchema, queryOf, runsQuerySchema } from "./params.ts";

/** Runs and tasks for operators; and the tick that a platform's cron may send. */
export function runRoutes(ctx: Ctx): Hono {
  return new Hono()
    .get("/runs", operator(ctx, "viewer"), async (c) => {
      const { project, limit } = queryOf(c.req.query(), runsQuerySchema);
      return c.json({ items: await readRuns(ctx, { project, limit }) });
    })
    .get("/runs/:id", operator(ctx, "viewer"), async (c) =>
      c.json(await readRun(ctx, { id: idParam(c.req.param("id"), "run") })),
    )
    .get("/tasks/:id", operator(ctx, "viewer"), async (c) =>
      c.json(await readTask(ctx, { id: idParam(c.req.param("id"), "task") })),
    )
    .get("/tasks/:id/log", operator(ctx, "viewer"), async (c) => {
      const { attempt } = queryOf(c.req.query(), logQuerySchema);
      const log = await readLog(ctx, { taskId: idParam(c.req.param("id"), "task"), attempt });
      return c.body(new Uint8Array(log), 200, { "content-type": "text/plain; charset=utf-8" });
    })
    .post("/tick", operator(ctx, "operator"), async (c) =>
      c.json({ projects: await materialiseDue(ctx) }),
    );
}
