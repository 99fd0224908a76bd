import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { nothingDone } from "../protocol/report.ts";
import { AppError } from "../protocol/errors.ts";
import { type HostFacts, type PollAnswer, pollAnswerSchema } from "../protocol/fleet.ts";
import { backOff } from "./back-off.ts";
import type { AgentCtx, Standing } from "./context.ts";
import { fetchDaemonUsers, type RunningDaemon } from "./daemon-users.ts";
import { deliverResult } from "./deliver.ts";
import { signedRequest } from "./request.ts";
import { followKeys, keysVersion } from "./follow-keys.ts";
import { runTask } from "./run-task.ts";
import type { SpoolEntry } from "./spool.ts";
import { fetchStandingOrders, forgetStandingOrders } from "./standing/orders.ts";
import { deliverStandingRuns } from "./standing/spool.ts";
import { version } from "../protocol/version.ts";

const waitSeconds = 25;
/** Beyond the wait: the network, and a control plane that is busy. */
const answerSeconds = 15;
/** Longest round of the loop: a poll, a pause, and the delivery of what was done without contact. */
const roundSeconds = 900;
/** The loop's name to the watchdog. */
const pulse = "the poll loop";

/**
 * Delivers what an earlier process of this agent left; an rsync that died with it counts as interrupted.
 * All at once: one that the control plane cannot take must not hold up the others.
 */
export async function deliverLeftovers(
  ctx: AgentCtx,
  { left, hurry }: { left: SpoolEntry[]; hurry: AbortSignal },
): Promise<void> {
  await Promise.all(
    left.map(async (entry) => {
      if ((await entry.result()) === null) {
        await entry.finish({
          outcome: "interrupted",
          ...nothingDone,
          message: "the agent ended during this attempt",
        });
      }
      await deliverResult(ctx, { entry, offset: 0, signal: hurry });
    }),
  );
}

/** Errors that a poll would have, too. */
const ofContact = new Set<string>([
  "unavailable",
  "too-many-requests",
  "not-authenticated",
  "clock-skew",
  "agent-revoked",
]);

/** Delivers what was done by standing orders. What the control plane fails at must not keep the host from work. */
async function reportStandingRuns(
  ctx: AgentCtx,
  { standing }: { standing: Standing },
): Promise<void> {
  await deliverStandingRuns(ctx, { standing }).catch((error: unknown) => {
    if (error instanceof AppError && ofContact.has(error.code)) throw error;
    ctx.log(`what was done by standing orders is not taken yet: ${(error as Error).message}`);
  });
}

/** Waits until fewer tasks run than allowed; each of them has its own limits of time. */
async function waitForRoom({ work: { running }, config: { parallel }, pulses }: AgentCtx) {
  while (running.size >= parallel) {
    pulses.expect(pulse, roundSeconds);
    const look = sleep((roundSeconds / 3) * 1000, undefined, { ref: false });
    await Promise.race([...running, look]);
  }
}

/** Waits as long as a control plane asks that holds no polls, moved by up to a fifth: hosts must not ask all at once. */
const pause = (seconds: number, signal: AbortSignal) =>
  sleep(seconds * (0.8 + Math.random() / 5) * 1000, undefined, { signal }).catch(() => undefined);

/**
 * Polls for work until `stop`, then waits for the tasks under way, which `stop` also ends.
 * @throws AppError `agent-revoked`.
 */
export async function pollLoop(
  ctx: AgentCtx,
  { daemon, stop, hurry }: { daemon: RunningDaemon | null; stop: AbortSignal; hurry: AbortSignal },
): Promise<void> {
  const { running, ends } = ctx.work;
  const { standing } = ctx;
  const wantsOrders = standing !== null && standing.afterSeconds < Number.POSITIVE_INFINITY;
  let failures = 0;
  let pollId = randomUUID();
  let told: HostFacts | null = null;
  let confirm: string | undefined;
  /** What was wrong at the last attempt. */
  let said = "";
  const tls = { daemonKeySha256: daemon?.keySha256 ?? null };
  const poll = (facts: HostFacts | null): Promise<PollAnswer> =>
    signedRequest(ctx, {
      method: "POST",
      path: "/v1/agent/poll",
      body: {
        pollId,
        agentVersion: version,
        instance: ctx.instance,
        ...(confirm !== undefined && { confirm }),
        waitSeconds,
        daemonUsersVersion: daemon?.version ?? null,
        ...(standing && { busy: [...standing.busy.keys()] }),
        ...(wantsOrders && { standingVersion: standing.set.version }),
        daemonPort: daemon?.port ?? null,
        ...(facts &&
          facts !== told && { facts: { ...facts, tls }, clock: new Date().toISOString() }),
        roots: daemon?.roots ?? ctx.config.mirrorRoots.map((path) => ({ path, module: null })),
      },
      schema: pollAnswerSchema,
      timeoutSeconds: waitSeconds + answerSeconds,
      signal: stop,
    });
  const take = (lease: NonNullable<PollAnswer["lease"]>) => {
    const task = runTask(ctx, { lease, stop, hurry })
      .catch((error: unknown) => ctx.log(`a task failed in the agent: ${(error as Error).stack}`))
      .finally(() => running.delete(task));
    running.add(task);
  };
  while (!stop.aborted) {
    await waitForRoom(ctx);
    ctx.pulses.expect(pulse, roundSeconds);
    if (stop.aborted) break;
    try {
      // Before new work: the control plane is to know what was done before it orders it again.
      if (standing) await reportStandingRuns(ctx, { standing });
      const facts = ctx.facts.latest();
      const answer = await poll(facts);
      // A question notes nothing of what it was asked with.
      if (answer.confirm === undefined) told = facts;
      await ctx.contact.note({
        at: Date.parse(answer.time) / 1000,
        leased: answer.lease !== null,
      });
      if (failures > 0) ctx.log("in contact with the control plane again");
      failures = 0;
      said = "";
      confirm = answer.confirm;
      // The order may be signed with a key that is new: keys first, and until then the same lease again.
      if (answer.keysVersion !== keysVersion(ctx.identity.jwks)) await followKeys(ctx);
      for (const taskId of answer.cancelled) ends.get(taskId)?.abort("cancelled");
      if (answer.lease) take(answer.lease);
      // What the poll brought is taken: the next one is another.
      pollId = randomUUID();
      if (daemon && answer.daemonUsersVersion !== daemon.version)
        await fetchDaemonUsers(ctx, { daemon });
      if (wantsOrders && answer.standingVersion !== standing.set.version)
        standing.set = await fetchStandingOrders(ctx, { kept: standing.set });
      if (!answer.lease && answer.pauseSeconds) await pause(answer.pauseSeconds, stop);
    } catch (error) {
      if (stop.aborted) break;
      if (error instanceof AppError && error.code === "agent-revoked") {
        await forgetStandingOrders(ctx);
        throw error;
      }
      failures += 1;
      // Its keys stay as they are: whether this one or the other is the host is not for an agent to say.
      const isQuarantined = error instanceof AppError && error.code === "host-quarantined";
      if (isQuarantined) await forgetStandingOrders(ctx);
      const trouble = isQuarantined
        ? error.message
        : `out of contact with the control plane: ${(error as Error).message}`;
      if (trouble !== said && (isQuarantined || failures === 1)) ctx.log(trouble);
      said = trouble;
      await backOff({ failures, signal: stop });
    }
  }
  ctx.pulses.forget(pulse);
  await Promise.all(running);
}
