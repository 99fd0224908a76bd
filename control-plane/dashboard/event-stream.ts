import type { Context } from "hono";
import { type SSEStreamingApi, streamSSE } from "hono/streaming";
import type { Ctx } from "../context.ts";

/** Streams events to a browser. A fault ends the stream and goes to the log alone: Hono would tell the browser its text. */
export function eventStream(
  ctx: Ctx,
  c: Context,
  write: (out: SSEStreamingApi) => Promise<void>,
): Response {
  // nginx would keep back what is to be seen now.
  c.header("x-accel-buffering", "no");
  return streamSSE(c, async (out) => {
    try {
      await write(out);
    } catch (error) {
      ctx.log.warn({ err: error, path: c.req.path }, "a page's stream has ended early");
    }
  });
}
