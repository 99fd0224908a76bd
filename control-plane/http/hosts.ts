import { Hono } from "hono";
import { hostCreateSchema } from "../../protocol/fleet.ts";
import { createEnrolmentToken } from "../auth/enrolment.ts";
import type { Ctx } from "../context.ts";
import {
  hostView,
  insertHost,
  masterIds,
  readHostRow,
  readHosts,
  revokeHost,
} from "../db/queries/hosts.ts";
import { notifyHost } from "../dispatch/wake.ts";
import { jsonBody } from "./body.ts";
import { operator } from "./guards.ts";

/** Hosts: invite, list, invite again, revoke. */
export function hostRoutes(ctx: Ctx): Hono {
  return new Hono()
    .post("/hosts", operator(ctx, "admin"), async (c) => {
      const input = await jsonBody(c, hostCreateSchema);
      const answer = await ctx.db.transaction(async (tx) => {
        const host = await insertHost(tx, input);
        return {
          host: hostView(host),
          enrolment: await createEnrolmentToken(ctx, tx, { hostId: host.id }),
        };
      });
      return c.json(answer, 201);
    })
    .get("/hosts", operator(ctx, "viewer"), async (c) => c.json({ items: await readHosts(ctx) }))
    .post("/hosts/:name/enrolment-tokens", operator(ctx, "admin"), async (c) => {
      const answer = await ctx.db.transaction(async (tx) => {
        const host = await readHostRow(tx, { name: c.req.param("name") });
        return {
          host: hostView(host),
          enrolment: await createEnrolmentToken(ctx, tx, { hostId: host.id }),
        };
      });
      return c.json(answer, 201);
    })
    .post("/hosts/:name/revoke", operator(ctx, "admin"), async (c) => {
      const host = await ctx.db.transaction(async (tx) => {
        const revoked = await revokeHost(tx, { name: c.req.param("name") });
        // Masters stop admitting it, and its own held poll ends.
        for (const hostId of [...(await masterIds(tx)), revoked.id])
          await notifyHost(tx, { hostId });
        return revoked;
      });
      return c.json(hostView(host));
    });
}
