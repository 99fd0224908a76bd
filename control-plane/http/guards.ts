import { getConnInfo } from "@hono/node-server/conninfo";
import type { Context, MiddlewareHandler } from "hono";
import { createMiddleware } from "hono/factory";
import { AppError } from "../../protocol/errors.ts";
import type { TaskTokenClaims } from "../../protocol/order.ts";
import { type HostRow, verifyAgentRequest } from "../auth/agent-requests.ts";
import { type Actor, checkScope } from "../auth/actor.ts";
import { authenticate } from "../auth/authenticate.ts";
import { verifyTaskToken } from "../auth/task-tokens.ts";
import type { Ctx } from "../context.ts";
import { readSettings } from "../db/queries/settings.ts";
import { readBody } from "./body.ts";
import type { Declaration } from "./operation.ts";

type Variables = { actor: Actor; host: HostRow; attempt: TaskTokenClaims };

const bearer = (c: Context) =>
  /^Bearer (\S{1,4096})$/.exec(c.req.header("authorization") ?? "")?.[1];

/** Lets a request pass that carries an operator's credential of this scope or a higher one. */
function operator(ctx: Ctx, { access }: Declaration) {
  return createMiddleware<{ Variables: Variables }>(async (c, next) => {
    const actor = await authenticate(ctx, { token: bearer(c) });
    checkScope(
      actor,
      access === "trigger"
        ? { needs: "operator", project: c.req.param("name") }
        : { needs: access as "viewer" },
    );
    c.set("actor", actor);
    await next();
  });
}

/** Lets any request pass where the fleet's settings say so, else a viewer's. */
function metrics(ctx: Ctx, declaration: Declaration): MiddlewareHandler {
  const viewer = operator(ctx, { ...declaration, access: "viewer" });
  return async (c, next) => ((await readSettings(ctx)).openMetrics ? next() : viewer(c, next));
}

/** Lets a request pass that an enrolled agent signed; `host` is its row. */
function agent(ctx: Ctx) {
  return createMiddleware<{ Variables: Variables }>(async (c, next) => {
    const { pathname, search } = new URL(c.req.url);
    const host = await verifyAgentRequest(ctx, {
      authorization: c.req.header("authorization"),
      method: c.req.method,
      path: pathname + search,
      body: new Uint8Array(await readBody(c)),
    });
    c.set("host", host);
    await next();
  });
}

/** Lets a request pass that carries the task token of the task in the path; `attempt` is what it covers. */
function taskToken(ctx: Ctx) {
  return createMiddleware<{ Variables: Variables }>(async (c, next) => {
    const token = bearer(c);
    if (token === undefined)
      throw new AppError("not-authenticated", "needs the task token that came with the order");
    c.set("attempt", await verifyTaskToken(ctx, { token, taskId: c.req.param("id") ?? "" }));
    await next();
  });
}

/** The guard that an operation's declaration asks for. There is none without: the type has no such value. */
export function guardOf(ctx: Ctx, declaration: Declaration): MiddlewareHandler {
  switch (declaration.access) {
    case "public":
      return (_, next) => next();
    case "metrics":
      return metrics(ctx, declaration);
    case "agent":
      return agent(ctx);
    case "task":
      return taskToken(ctx);
    default:
      return operator(ctx, declaration);
  }
}

/** Address that a request came from: the proxy's word counts where the proxy is on this machine. */
export function clientAddress(c: Context): string {
  // Without a socket, as under a test or another platform, there is one client.
  const peer = c.env?.incoming === undefined ? "" : (getConnInfo(c).remote.address ?? "");
  const isLocal = peer === "::1" || /^(::ffff:)?127\./.test(peer);
  const forwarded = c.req.header("x-forwarded-for")?.split(",").at(-1)?.trim();
  return isLocal && forwarded ? forwarded : peer;
}
