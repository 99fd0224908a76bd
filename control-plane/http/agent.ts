import { z } from "zod";
import { joinAnswerSchema, joinSchema } from "../../protocol/enrolment.ts";
import {
  daemonUsersSchema,
  enrolAnswerSchema,
  enrolSchema,
  pinnedSchema,
  pollAnswerSchema,
  pollSchema,
  type SigningKey,
} from "../../protocol/fleet.ts";
import {
  standingOrdersSchema,
  standingQuerySchema,
  standingRunSchema,
  standingTicketSchema,
} from "../../protocol/standing.ts";
import { enrol, join } from "../auth/enrolment.ts";
import type { Ctx } from "../context.ts";
import { vouchedKeys } from "../auth/task-keys.ts";
import { insertAuditEvent } from "../db/queries/audit-events.ts";
import { masterIds } from "../db/queries/hosts.ts";
import { daemonUsers } from "../dispatch/daemon-users.ts";
import { poll } from "../dispatch/poll.ts";
import { standingOrders } from "../dispatch/standing-orders.ts";
import { recordStandingRun } from "../dispatch/standing-runs.ts";
import { notifyHosts } from "../dispatch/wake.ts";
import { catchUpHost } from "../fleet/placement.ts";
import { type PollEnv, pollPath } from "./held-polls.ts";
import { type Operation, raw } from "./operation.ts";

const tag = "agents";

/** What else an enrolment changes, in its transaction: the host catches up, and masters admit it. */
async function afterEnrolment(
  ctx: Ctx,
  { hostId, host, signingKey }: { hostId: string; host: string; signingKey: SigningKey },
): Promise<void> {
  await catchUpHost(ctx, { hostId });
  await insertAuditEvent(ctx, {
    actor: `host ${host}`,
    action: "enrol",
    target: `/v1/hosts/${host}`,
    before: null,
    after: { signingKey: signingKey.x },
  });
  await notifyHosts(ctx, { hostIds: await masterIds(ctx) });
}

/** What agents call: join once, then poll. */
export const agentOperations: Operation[] = [
  raw(
    {
      id: "join",
      method: "POST",
      path: "/v1/join",
      tag,
      access: "public",
      summary:
        "Trade a request signed with the key of an invitation for an identity, signed by the key that the invitation names; sent again, it gets the same",
      body: joinSchema,
      answer: joinAnswerSchema,
      status: 201,
      errors: ["enrolment-token-invalid", "conflict", "unavailable"],
    },
    async (ctx, c, { body }) => {
      const answer = await ctx.db.transaction(async (tx) => {
        const inner = { ...ctx, db: tx };
        const { host, signingKey, isNew, body: answered } = await join(inner, body);
        if (isNew) await afterEnrolment(inner, { hostId: host.id, host: host.name, signingKey });
        return answered;
      });
      return c.json(answer, 201);
    },
  ),
  raw(
    {
      id: "enrol",
      method: "POST",
      path: "/v1/enrol",
      tag,
      access: "public",
      summary:
        "Trade a one-use enrolment token for an identity, as agents of protocol 1 do: over TLS that is trusted",
      body: enrolSchema,
      answer: enrolAnswerSchema,
      status: 201,
      errors: ["enrolment-token-invalid", "unavailable"],
    },
    async (ctx, c, { body }) => {
      const answer = await ctx.db.transaction(async (tx) => {
        const inner = { ...ctx, db: tx };
        const enrolled = await enrol(inner, body);
        await afterEnrolment(inner, { ...enrolled, signingKey: body.signingKey });
        return enrolled;
      });
      return c.json(answer, 201);
    },
  ),
  raw(
    {
      id: "poll",
      method: "POST",
      path: pollPath,
      tag,
      access: "agent",
      summary: "Ask for work; held until there is some, or for 20 to 25 seconds",
      body: pollSchema,
      answer: pollAnswerSchema,
      errors: ["host-quarantined"],
    },
    async (ctx, c, { body }) => {
      const env: PollEnv = c.env;
      const waited = (performance.now() - env.came!) / 1000;
      const found = await poll(ctx, { host: c.get("host"), input: body, waited });
      if ("answer" in found) return c.json(found.answer);
      env.held = found.held;
      return c.body(null);
    },
  ),
  raw(
    {
      id: "followTaskKeys",
      method: "POST",
      path: "/v1/agent/task-keys",
      tag,
      access: "agent",
      summary: "The task keys to pin, as a JWS signed with a key that the agent has pinned",
      body: pinnedSchema,
      answer: z.object({ token: z.string() }),
      errors: ["conflict"],
    },
    async (ctx, c, { body }) =>
      c.json({ token: await vouchedKeys(ctx, { hostId: c.get("host").id, pinned: body.pinned }) }),
  ),
  raw(
    {
      id: "getDaemonUsers",
      method: "GET",
      path: "/v1/agent/daemon-users",
      tag,
      access: "agent",
      summary: "Who may pull from this master's rsync daemon; passwords sealed to its agent",
      answer: daemonUsersSchema,
    },
    async (ctx, c) => c.json(await daemonUsers(ctx, { host: c.get("host") })),
  ),
  raw(
    {
      id: "getStandingOrders",
      method: "GET",
      path: "/v1/agent/standing-orders",
      tag,
      access: "agent",
      summary: "What this host does by itself while it is out of contact: signed orders, in pages",
      query: standingQuerySchema,
      answer: standingOrdersSchema,
    },
    async (ctx, c, { query }) =>
      c.json(await standingOrders(ctx, { host: c.get("host"), after: query.after })),
  ),
  raw(
    {
      id: "reportStandingRun",
      method: "POST",
      path: "/v1/agent/standing-runs",
      tag,
      access: "agent",
      summary: "Tell what was done by a standing order; delivering it again changes nothing",
      body: standingRunSchema,
      answer: standingTicketSchema,
      errors: ["order-refused", "not-found"],
    },
    async (ctx, c, { body }) =>
      c.json(await recordStandingRun(ctx, { host: c.get("host"), report: body })),
  ),
];
