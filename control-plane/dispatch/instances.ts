import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { eq, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Poll } from "../../protocol/fleet.ts";
import type { HostRow } from "../auth/agent-requests.ts";
import type { Ctx } from "../context.ts";
import { insertAuditEvent } from "../db/queries/audit-events.ts";
import { noteSeen, updateHost } from "../db/queries/hosts.ts";
import { hosts } from "../db/schema/hosts.ts";
import { clonedText, judgeInstance } from "./judge-instance.ts";
import { notifyHosts } from "./wake.ts";

type Met = { revoked: boolean; quarantined: string | null; confirm: string | null };

const revoked = ({ name }: HostRow) => new AppError("agent-revoked", `host ${name} was revoked`);

const quarantined = ({ name }: HostRow, reason: string) =>
  new AppError(
    "host-quarantined",
    `host ${name} is quarantined and gets no tasks: ${reason}. Stop the agent on the copy and remove its state directory, then "mirrorfleet host release ${name}"; or "mirrorfleet host invite ${name}" and join again, with --replace, on the machine that is to be ${name}`,
  );

/** Two agents have the host's key: nothing is given to either until an operator has said which one it is. */
async function quarantine(ctx: Ctx, { host, reason }: { host: HostRow; reason: string }) {
  const quarantinedAt = sql`${ctx.now()}` as unknown as Date;
  await updateHost(ctx, { id: host.id, values: { quarantinedAt, quarantineReason: reason } });
  await insertAuditEvent(ctx, {
    actor: "control plane",
    action: "quarantineHost",
    target: `/v1/hosts/${host.name}`,
    before: null,
    after: { reason },
  });
  // The other one's held poll ends.
  await notifyHosts(ctx, { hostIds: [host.id] });
  ctx.log.warn({ host: host.name }, `quarantined: ${reason}`);
}

/** Meets a process that is not the one that is known, one poll after the other, on whatever replica. */
async function meet(ctx: Ctx, { hostId, poll }: { hostId: string; poll: Poll }): Promise<Met> {
  const [host] = await ctx.db.select().from(hosts).where(eq(hosts.id, hostId)).for("no key update");
  if (!host || host.revokedAt) return { revoked: true, quarantined: null, confirm: null };
  if (host.quarantinedAt)
    return { revoked: false, quarantined: host.quarantineReason, confirm: null };
  const judgement = judgeInstance(host.instances, {
    instance: poll.instance ?? null,
    confirmed: poll.confirm ?? null,
    now: new Date().toISOString(),
    newConfirm: randomUUID(),
  });
  const met: Met = { revoked: false, quarantined: null, confirm: null };
  switch (judgement.kind) {
    case "ask":
      return { ...met, confirm: judgement.confirm };
    case "cloned": {
      const reason = clonedText(judgement.processes);
      await quarantine(ctx, { host, reason });
      return { ...met, quarantined: reason };
    }
    case "next": {
      const { instances } = judgement;
      await updateHost(ctx, { id: hostId, values: { instance: instances.current.id, instances } });
      // Where the one before lives, its held poll ends, and it shows itself.
      if (instances.before.length > 0) await notifyHosts(ctx, { hostIds: [hostId] });
    }
  }
  await noteSeen(ctx, { hostId, poll });
  return met;
}

/** Milliseconds after which it is worth a write that a host has been seen again. */
const seenMilliseconds = 10_000;

/** Does a poll say nothing but what its host's row says? A lease asks again whether the host may have one. */
const isKnown = ({ host, poll }: { host: HostRow; poll: Poll }): boolean =>
  host.quarantinedAt === null &&
  (poll.instance === undefined || host.instance === poll.instance.id) &&
  poll.facts === undefined &&
  poll.clock === undefined &&
  host.agentVersion === poll.agentVersion &&
  host.daemonPort === poll.daemonPort &&
  isDeepStrictEqual(host.roots, poll.roots) &&
  Math.abs(Date.now() - Number(host.lastSeenAt)) < seenMilliseconds;

/**
 * Notes that an agent polled. Answers null where it is the process that is known, or the next one; else what
 * it has to say with its next poll before it is believed to be alive. @throws AppError `agent-revoked`, `host-quarantined`.
 */
export async function noteAgent(
  ctx: Ctx,
  { host, poll }: { host: HostRow; poll: Poll },
): Promise<string | null> {
  if (isKnown({ host, poll })) return null;
  // Nearly always: one statement.
  const seen = await noteSeen(ctx, { hostId: host.id, poll });
  const met = seen
    ? { ...seen, quarantined: null, confirm: null }
    : await ctx.db.transaction((tx) => meet({ ...ctx, db: tx }, { hostId: host.id, poll }));
  if (met.revoked) throw revoked(host);
  if (met.quarantined !== null) throw quarantined(host, met.quarantined);
  return met.confirm;
}
