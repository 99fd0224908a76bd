import type { Poll, PollAnswer } from "../../protocol/fleet.ts";
import type { HostRow } from "../auth/agent-requests.ts";
import { pinnedKeysVersion } from "../auth/task-keys.ts";
import type { Ctx } from "../context.ts";
import { daemonUsersVersion } from "./daemon-users.ts";
import { noteAgent } from "./instances.ts";
import { standingVersion } from "./standing-orders.ts";
import { leaseTask } from "./lease.ts";
import { look } from "./look.ts";

/** Longest time in seconds that a poll is held: below the usual idle limits of proxies. */
const maxWaitSeconds = 25;

/** Version of the list of those who may pull from a host; null: it is no master. */
const versionOfUsers = async (ctx: Ctx, { host }: { host: HostRow }): Promise<string | null> =>
  host.roles.includes("master") ? daemonUsersVersion(ctx, { host }) : null;

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
  try {
    const confirm = await noteAgent(ctx, { host, poll: input });
    if (confirm !== null) return await question(ctx, { input, confirm });
    await waiter?.ready;
    const seen = await look(ctx, { ...input, hostId: host.id });
    const nothing = { lease: null, cancelled: seen.cancelled };
    const first = seen.lease ? await leaseTask(ctx, { ...input, host }) : nothing;
    const usersVersion = await versionOfUsers(ctx, { host });
    // An agent that wants no standing orders does not say which it has.
    const standing =
      input.standingVersion === undefined ? null : standingVersion(seen.standing_facts);
    const answer = async (
      got: Pick<PollAnswer, "lease" | "cancelled">,
      daemonUsersVersion: string | null,
    ): Promise<PollAnswer> => ({
      ...got,
      daemonUsersVersion,
      keysVersion: await pinnedKeysVersion(ctx),
      standingVersion: standing,
      ...(ctx.hold && { pauseSeconds: ctx.hold.pauseSeconds }),
      time: new Date().toISOString(),
    });
    const news =
      usersVersion !== input.daemonUsersVersion || standing !== (input.standingVersion ?? null);
    if (first.lease || news || !waiter) return await answer(first, usersVersion);
    const due =
      seen.seconds_to_next === null
        ? undefined
        : setTimeout(waiter.cancel, Math.max(0, seen.seconds_to_next) * 1000 + 50);
    await waiter.woken;
    clearTimeout(due);
    // An agent that has gone away must not be given a lease.
    if (signal.aborted) return await answer(first, usersVersion);
    const woken = await leaseTask(ctx, { ...input, host });
    return await answer(woken, await versionOfUsers(ctx, { host }));
  } finally {
    waiter?.cancel();
  }
}
