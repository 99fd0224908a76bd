import { Hono } from "hono";
import { enrolSchema, pollSchema } from "../../protocol/fleet.ts";
import { enrol } from "../auth/enrolment.ts";
import type { Ctx } from "../context.ts";
import { masterIds } from "../db/queries/hosts.ts";
import { daemonUsers } from "../dispatch/daemon-users.ts";
import { poll } from "../dispatch/poll.ts";
import { notifyHost } from "../dispatch/wake.ts";
import { jsonBody } from "./body.ts";
import { agent } from "./guards.ts";

/** What agents call: enrol once, then poll. */
export function agentRoutes(ctx: Ctx): Hono {
  return new Hono()
    .post("/enrol", async (c) => {
      const answer = await enrol(ctx, await jsonBody(c, enrolSchema));
      await ctx.db.transaction(async (tx) => {
        for (const hostId of await masterIds(tx)) await notifyHost(tx, { hostId });
      });
      return c.json(answer, 201);
    })
    .post("/agent/poll", agent(ctx), async (c) => {
      const input = await jsonBody(c, pollSchema);
      return c.json(await poll(ctx, { host: c.get("host"), input, signal: c.req.raw.signal }));
    })
    .get("/agent/daemon-users", agent(ctx), async (c) =>
      c.json(await daemonUsers(ctx, { host: c.get("host") })),
    );
}
