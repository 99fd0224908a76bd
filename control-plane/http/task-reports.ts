import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import { queryNumber } from "../../protocol/paging.ts";
import {
  heartbeatAnswerSchema,
  heartbeatSchema,
  logAnswerSchema,
  maxLogChunkBytes,
  resultSchema,
} from "../../protocol/report.ts";
import { keepLogChunk } from "../db/queries/log-chunks.ts";
import { finishAttempt } from "../dispatch/finish.ts";
import { heartbeat } from "../dispatch/lease.ts";
import { readBody } from "./body.ts";
import { type Operation, raw } from "./operation.ts";
import { idParams } from "./params.ts";

const one = {
  method: "POST" as const,
  tag: "agents",
  access: "task" as const,
  params: idParams,
};

/** Reports on one attempt: the task token of its order is the only authority here. */
export const taskReportOperations: Operation[] = [
  raw(
    {
      ...one,
      id: "heartbeat",
      path: "/v1/tasks/{id}/heartbeat",
      summary: "Extend the lease and tell the progress",
      body: heartbeatSchema,
      answer: heartbeatAnswerSchema,
      errors: ["stale-attempt"],
    },
    async (ctx, c, { body }) => {
      const { sub: taskId, attempt, lease } = c.get("attempt");
      return c.json(await heartbeat(ctx, { taskId, attempt, lease, progress: body.progress }));
    },
  ),
  raw(
    {
      ...one,
      id: "appendTaskLog",
      path: "/v1/tasks/{id}/log",
      summary:
        "Append bytes to the attempt's log; those that it has already change nothing, and none is left out",
      query: z.strictObject({
        offset: queryNumber({ min: 0, max: 999_999_999 }).meta({
          description: "Where the piece begins, in bytes",
        }),
      }),
      rawBody: "application/octet-stream",
      answer: logAnswerSchema,
      errors: ["not-found", "body-too-large"],
    },
    async (ctx, c, { query }) => {
      const { sub, attempt } = c.get("attempt");
      const bytes = Buffer.from(await readBody(c));
      if (bytes.length > maxLogChunkBytes) {
        throw new AppError("body-too-large", `a log chunk may have ${maxLogChunkBytes} bytes`);
      }
      const chunk = { taskId: sub, attempt, position: query.offset, bytes };
      return c.json(await keepLogChunk(ctx, chunk));
    },
  ),
  raw(
    {
      ...one,
      id: "finishTask",
      path: "/v1/tasks/{id}/result",
      summary: "Tell how the attempt ended; delivering it again changes nothing",
      body: resultSchema,
      answer: z.object({ accepted: z.boolean() }),
      errors: ["not-found", "stale-attempt"],
    },
    async (ctx, c, { body }) => {
      const { sub: taskId, attempt, lease } = c.get("attempt");
      await finishAttempt(ctx, { taskId, attempt, lease, result: body });
      return c.json({ accepted: true });
    },
  ),
];
