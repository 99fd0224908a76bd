import { Hono } from "hono";
import { AppError } from "../../protocol/errors.ts";
import { heartbeatSchema, maxLogChunkBytes, resultSchema } from "../../protocol/report.ts";
import type { Ctx } from "../context.ts";
import { keepLogChunk } from "../db/queries/tasks.ts";
import { finishAttempt } from "../dispatch/finish.ts";
import { heartbeat } from "../dispatch/lease.ts";
import { jsonBody } from "./body.ts";
import { taskToken } from "./guards.ts";
import { logChunkQuerySchema, queryOf } from "./params.ts";

/** Reports on one attempt: the task token of its order is the only authority here. */
export function taskReportRoutes(ctx: Ctx): Hono {
  return new Hono()
    .post("/tasks/:id/heartbeat", taskToken(ctx), async (c) => {
      const { sub, attempt } = c.get("attempt");
      const { progress } = await jsonBody(c, heartbeatSchema);
      return c.json(await heartbeat(ctx, { taskId: sub, attempt, progress }));
    })
    .post("/tasks/:id/log", taskToken(ctx), async (c) => {
      const { sub, attempt } = c.get("attempt");
      const { offset } = queryOf(c.req.query(), logChunkQuerySchema);
      const bytes = Buffer.from(await c.req.arrayBuffer());
      if (bytes.length > maxLogChunkBytes) {
        throw new AppError("body-too-large", `a log chunk may have ${maxLogChunkBytes} bytes`);
      }
      await keepLogChunk(ctx, { taskId: sub, attempt, position: offset, bytes });
      return c.json({ nextOffset: offset + bytes.length });
    })
    .post("/tasks/:id/result", taskToken(ctx), async (c) => {
      const { sub, attempt } = c.get("attempt");
      await finishAttempt(ctx, { taskId: sub, attempt, result: await jsonBody(c, resultSchema) });
      return c.json({ accepted: true });
    });
}
