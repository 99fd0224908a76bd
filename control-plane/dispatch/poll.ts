import { AppError } from "../../protocol/errors.ts";
import type { Poll, PollAnswer } from "../../protocol/fleet.ts";
import type { HostRow } from "../auth/agent-requests.ts";
import { pinnedKeysVersion } from "../auth/task-keys.ts";
import type { Ctx } from "../context.ts";
import { daemonUsersVersion } from "./daemon-users.ts";
import { noteAgent } from "./instances.ts";
import { standingVersion } from "./standing-orders.ts";
import { cancelledTasks, leaseTask, secondsToNextTask } from "./lease.ts";

/** Longest time in seconds that a poll is held: below the usual idle limits of proxies. */
const maxWaitSeconds = 25;

type Draft = Omit<PollAnswer, "cancelled" | "time" | "standingVersion">;

async function answerNow(
  ctx: Ctx,
  { host, input }: { host: HostRow; input: Poll },
): Promise<Draft> {
  const version = host.roles.includes("master") ? await daemonUsersVersion(ctx, { host }) : null;
  const lease = await leaseTask(ctx, { host, ...input }).catch((error: unknown) => {
    // A source that is not known yet delays the task: it stays queued for the next poll.
    if (!(error instanceof AppError) || error.code !== "unavailable") throw error;
    ctx.log.warn({ host: host.name }, error.message);
    return null;
  });
  return { lease, daemonUsersVersion: version, keysVersion: await pinnedKeysVersion(ctx) };
}

/** Answer to a process that is yet to show that it is alive: nothing new, and what it is to say. */
async function question(
  ctx: Ctx,
  { input, confirm }: { input: Poll; confirm: string },
): Promise<PollAnswer> {
  return {
    lease: null,
    cancelled: [],
    daemonUsersVersion: input.daemonUsersVersion,
    keysVersion: await pinnedKeysVersion(ctx),
    standingVersion: input.standingVersion ?? null,
    confirm,
    time: new Date().toISOString(),
  };
}

/** Answers a poll at once where there is something to say, otherwise holds it until there is. */
export async function poll(
  ctx: Ctx,
  { host: asked, input, signal }: { host: HostRow; input: Poll; signal: AbortSignal },
): Promise<PollAnswer> {
  // What it says now counts for the order that it gets now.
  const host = { ...asked, facts: input.facts ?? asked.facts };
  const seconds = Math.min(input.waitSeconds, ctx.hold?.seconds ?? maxWaitSeconds);
  // The waiter comes first: work that arrives while we look still wakes it.
  const waiter = seconds === 0 ? null : ctx.waitForWake({ hostId: host.id, seconds, signal });
  const whole = async (answer: Draft, standing: string | null): Promise<PollAnswer> => ({
    ...answer,
    standingVersion: standing,
    ...(ctx.hold && { pauseSeconds: ctx.hold.pauseSeconds }),
    time: new Date().toISOString(),
    cancelled: await cancelledTasks(ctx, { hostId: host.id }),
  });
  try {
    const confirm = await noteAgent(ctx, { host, poll: input });
    if (confirm !== null) return await question(ctx, { input, confirm });
    await waiter?.ready;
    const first = await answerNow(ctx, { host, input });
    // An agent that wants no standing orders does not say which it has.
    const standing =
      input.standingVersion === undefined ? null : await standingVersion(ctx, { hostId: host.id });
    const news =
      first.daemonUsersVersion !== input.daemonUsersVersion ||
      standing !== (input.standingVersion ?? null);
    if (first.lease || news || !waiter) return await whole(first, standing);
    const next = await secondsToNextTask(ctx, { hostId: host.id });
    const due =
      next === null ? undefined : setTimeout(waiter.cancel, Math.max(0, next) * 1000 + 50);
    await waiter.woken;
    clearTimeout(due);
    // An agent that has gone away must not be given a lease.
    if (signal.aborted) return await whole(first, standing);
    return await whole(await answerNow(ctx, { host, input }), standing);
  } finally {
    waiter?.cancel();
  }
}
