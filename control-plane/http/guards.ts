import { createMiddleware } from "hono/factory";
import { AppError } from "../../protocol/errors.ts";
import type { TaskTokenClaims } from "../../protocol/order.ts";
import { type HostRow, verifyAgentRequest } from "../auth/agent-requests.ts";
import { authorizeOperator } from "../auth/operator-tokens.ts";
import { verifyTaskToken } from "../auth/task-tokens.ts";
import type { Ctx } from "../context.ts";
import type { OperatorScope } from "../db/schema.ts";

/** Lets a request pass that carries an operator token of this scope or a higher one. */
export function operator(ctx: Ctx, scope: OperatorScope) {
  return createMiddleware(async (c, next) => {
    await authorizeOperator(ctx, { authorization: c.req.header("authorization"), scope });
    await next();
  });
}

/** Lets a request pass that an enrolled agent signed; `host` is its row. */
export function agent(ctx: Ctx) {
  return createMiddleware<{ Variables: { host: HostRow } }>(async (c, next) => {
    const { pathname, search } = new URL(c.req.url);
    const host = await verifyAgentRequest(ctx, {
      authorization: c.req.header("authorization"),
      method: c.req.method,
      path: pathname + search,
      body: new Uint8Array(await c.req.arrayBuffer()),
    });
    c.set("host", host);
    await next();
  });
}

/** Lets a request pass that carries the task token of the task in the path; `attempt` is what it covers. */
export function taskToken(ctx: Ctx) {
  return createMiddleware<{ Variables: { attempt: TaskTokenClaims } }>(async (c, next) => {
    const token = /^Bearer (\S{1,4096})$/.exec(c.req.header("authorization") ?? "")?.[1];
    if (token === undefined)
      throw new AppError("not-authenticated", "needs the task token that came with the order");
    c.set(
      "attempt",
      await verifyTaskToken(ctx.secrets, { token, taskId: c.req.param("id") ?? "" }),
    );
    await next();
  });
}
