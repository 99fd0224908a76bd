import type { Poll, PollAnswer } from "../../protocol/fleet.ts";
import type { HostRow } from "../auth/agent-requests.ts";
import { pinnedKeysVersion } from "../auth/task-keys.ts";
import type { Ctx, Waiter } from "../context.ts";
import { daemonUsersVersion } from "./daemon-users.ts";
import { noteAgent } from "./instances.ts";
import type { Asking } from "./leasable.ts";
import { leaseTask } from "./lease.ts";
import { look } from "./look.ts";
import { standingVersion } from "./standing-orders.ts";

/** Longest time in seconds that a poll is held: below the usual idle limits of proxies. */
const maxWaitSeconds = 25;

/** Version of the list of those who may pull from a host; null: it is no master. */
const versionOfUsers = async (ctx: Ctx, { host }: { host: HostRow }): Promise<string | null> =>
  host.roles.includes("master") ? daemonUsersVersion(ctx, { host }) : null;

type Answer = Omit<PollAnswer, "keysVersion" | "time">;

const answerOf = async (ctx: Ctx, answer: Answer): Promise<PollAnswer> => ({
  ...answer,
  keysVersion: await pinnedKeysVersion(ctx),
  time: new Date().toISOString(),
});

/** What a poll is answered at once; `final`: there is something to say, so that it need not be held. */
async function lookOnce(
  ctx: Ctx,
  {
    host,
    input,
    asking,
    ready,
  }: { host: HostRow; input: Poll; asking: Asking; ready: Promise<void> | undefined },
): Promise<{ answer: Answer; final: boolean; secondsToNext: number | null }> {
  const known = {
    daemonUsersVersion: input.daemonUsersVersion,
    standingVersion: input.standingVersion ?? null,
  };
  const confirm = await noteAgent(ctx, { host, poll: input });
  // A process that is yet to show that it is alive: nothing new, and what it is to say.
  if (confirm !== null)
    return {
      answer: { lease: null, cancelled: [], ...known, confirm },
      final: true,
      secondsToNext: null,
    };
  await ready;
  const seen = await look(ctx, asking);
  const nothing = { lease: null, cancelled: seen.cancelled };
  const { lease, cancelled } = seen.lease ? await leaseTask(ctx, asking) : nothing;
  const daemonUsersVersion = await versionOfUsers(ctx, { host });
  // An agent that wants no standing orders does not say which it has.
  const standing =
    input.standingVersion === undefined ? null : standingVersion(seen.standing_facts);
  const isNews =
    daemonUsersVersion !== known.daemonUsersVersion || standing !== known.standingVersion;
  const pause = ctx.hold && { pauseSeconds: ctx.hold.pauseSeconds };
  return {
    answer: { lease, cancelled, daemonUsersVersion, standingVersion: standing, ...pause },
    final: lease !== null || isNews,
    secondsToNext: seen.seconds_to_next,
  };
}

/** A poll that has found nothing. Thousands are held at a time: neither the request nor the host's row belong to it. */
export type HeldPoll = {
  /** True: there may be something to say; false: the wait is over. */
  woken: Promise<boolean>;
  /** Ends the wait: nobody is there any more. */
  end: () => void;
  /** Says what there is to say, after `woken`. */
  answer: () => Promise<PollAnswer>;
};

function hold(
  ctx: Ctx,
  { asking, waiter: { woken, wake }, nothing }: { asking: Asking; waiter: Waiter; nothing: Answer },
): HeldPoll {
  const answer = async () => {
    // What nobody told of is found by the agent's next poll.
    if (!(await woken)) return answerOf(ctx, nothing);
    const { lease, cancelled, host } = await leaseTask(ctx, asking);
    if (!host) return answerOf(ctx, nothing);
    const daemonUsersVersion = await versionOfUsers(ctx, { host });
    return answerOf(ctx, { ...nothing, lease, cancelled, daemonUsersVersion });
  };
  return { woken, end: () => wake(false), answer };
}

/**
 * Answers a poll where there is something to say, or it is not to wait; otherwise holds it until there is, or the
 * time is over that it is ready to wait, of which `waited` seconds have gone by already.
 */
export async function poll(
  ctx: Ctx,
  { host, input, waited = 0 }: { host: HostRow; input: Poll; waited?: number },
): Promise<{ answer: PollAnswer } | { held: HeldPoll }> {
  const { pollId, busy, instance } = input;
  const asking = { hostId: host.id, pollId, busy, instance: instance && { id: instance.id } };
  const seconds = Math.min(input.waitSeconds, ctx.hold?.seconds ?? maxWaitSeconds) - waited;
  // The waiter comes first: work that arrives while we look still wakes it.
  const waiter = seconds <= 0 ? null : ctx.waitForWake({ hostId: host.id, seconds });
  let held = false;
  try {
    const first = await lookOnce(ctx, { host, input, asking, ready: waiter?.ready });
    if (first.final || !waiter) return { answer: await answerOf(ctx, first.answer) };
    held = true;
    if (first.secondsToNext !== null && first.secondsToNext < seconds)
      wakeIn(waiter, { seconds: first.secondsToNext });
    return { held: hold(ctx, { asking, waiter, nothing: first.answer }) };
  } finally {
    if (!held) waiter?.wake(false);
  }
}

/** Wakes it when a task comes due. */
function wakeIn({ woken, wake }: Waiter, { seconds }: { seconds: number }): void {
  const due = setTimeout(wake, Math.max(0, seconds) * 1000 + 50, true);
  const forget = () => clearTimeout(due);
  woken.then(forget, forget);
}
