import { randomUUID } from "node:crypto";
import { nothingDone } from "../protocol/report.ts";
import { AppError } from "../protocol/errors.ts";
import {
  daemonUsersSchema,
  type PollAnswer,
  pollAnswerSchema,
  type Root,
} from "../protocol/fleet.ts";
import { backOff } from "./back-off.ts";
import type { AgentCtx } from "./context.ts";
import { deliverResult } from "./deliver.ts";
import { signedRequest } from "./request.ts";
import { followKeys, keysVersion } from "./follow-keys.ts";
import { runTask } from "./run-task.ts";
import { openSealed } from "./sealed.ts";
import type { DaemonUser } from "./rsync/daemon-config.ts";
import type { SpoolEntry } from "./spool.ts";
import { version } from "../protocol/version.ts";

const waitSeconds = 25;
/** Beyond the wait: the network, and a control plane that is busy. */
const answerSeconds = 15;

type RunningDaemon = {
  port: number;
  roots: Root[];
  update: (admitted: { users: DaemonUser[]; serves: number | null }) => Promise<void>;
};

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

async function fetchDaemonUsers(
  ctx: AgentCtx,
  { daemon }: { daemon: RunningDaemon },
): Promise<string> {
  const {
    version: fetched,
    users,
    serves,
  } = await signedRequest(ctx, {
    method: "GET",
    path: "/v1/agent/daemon-users",
    schema: daemonUsersSchema,
    timeoutSeconds: 30,
  });
  await daemon.update({
    serves,
    users: await Promise.all(
      users.map(async ({ name, addresses, sealedPassword }) => ({
        name,
        addresses,
        password: await openSealed(ctx, { sealed: sealedPassword }),
      })),
    ),
  });
  ctx.log(
    `the rsync daemon admits ${users.length === 0 ? "nobody" : users.map(({ name }) => name).join(", ")}`,
  );
  return fetched;
}

/** Waits until fewer tasks run than allowed. */
async function waitForRoom({
  running,
  parallel,
}: {
  running: Set<Promise<void>>;
  parallel: number;
}) {
  while (running.size >= parallel) await Promise.race(running);
}

/**
 * Polls for work until `stop`, then waits for the tasks under way, which `stop` also ends.
 * @throws AppError `agent-revoked`.
 */
export async function pollLoop(
  ctx: AgentCtx,
  { daemon, stop, hurry }: { daemon: RunningDaemon | null; stop: AbortSignal; hurry: AbortSignal },
): Promise<void> {
  const { running, ends } = ctx.work;
  let daemonUsersVersion: string | null = null;
  let failures = 0;
  let pollId = randomUUID();
  const poll = (): Promise<PollAnswer> =>
    signedRequest(ctx, {
      method: "POST",
      path: "/v1/agent/poll",
      body: {
        pollId,
        agentVersion: version,
        waitSeconds,
        daemonUsersVersion,
        daemonPort: daemon?.port ?? null,
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
    await waitForRoom({ running, parallel: ctx.config.parallel });
    if (stop.aborted) break;
    try {
      const answer = await poll();
      await ctx.contact.note({ at: Date.parse(answer.time) / 1000 });
      if (failures > 0) ctx.log("in contact with the control plane again");
      failures = 0;
      // The order may be signed with a key that is new: keys first, and until then the same lease again.
      if (answer.keysVersion !== keysVersion(ctx.identity.jwks)) await followKeys(ctx);
      for (const taskId of answer.cancelled) ends.get(taskId)?.abort("cancelled");
      if (answer.lease) take(answer.lease);
      // What the poll brought is taken: the next one is another.
      pollId = randomUUID();
      if (daemon && answer.daemonUsersVersion !== daemonUsersVersion)
        daemonUsersVersion = await fetchDaemonUsers(ctx, { daemon });
    } catch (error) {
      if (stop.aborted) break;
      if (error instanceof AppError && error.code === "agent-revoked") throw error;
      failures += 1;
      if (failures === 1)
        ctx.log(`out of contact with the control plane: ${(error as Error).message}`);
      await backOff({ failures, signal: stop });
    }
  }
  await Promise.all(running);
}
