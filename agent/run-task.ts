import { compactDecrypt, decodeJwt, importJWK } from "jose";
import { AppError } from "../protocol/errors.ts";
import type { PollAnswer } from "../protocol/fleet.ts";
import type { OrderClaims } from "../protocol/order.ts";
import type { Progress, Result } from "../protocol/report.ts";
import { formatRsyncUrl } from "../protocol/rsync.ts";
import type { AgentCtx } from "./context.ts";
import { deliverLog, deliverResult, isFinal, report } from "./deliver.ts";
import { holdDestination, resolveDestination } from "./destination.ts";
import { checkPolicy } from "./policy.ts";
import { syncTree } from "./rsync/sync.ts";
import { newSpoolEntry, type SpoolEntry } from "./spool.ts";
import { verifyOrder } from "./verify-order.ts";

const reportEveryMilliseconds = 1000;

/** Opens what the control plane sealed to this agent. @throws AppError `order-refused`. */
export async function openSealed(
  { identity }: Pick<AgentCtx, "identity">,
  { sealed }: { sealed: string },
): Promise<string> {
  const key = await importJWK(identity.sealingKey, "ECDH-ES");
  const { plaintext } = await compactDecrypt(sealed, key, {
    keyManagementAlgorithms: ["ECDH-ES"],
    contentEncryptionAlgorithms: ["A256GCM"],
  }).catch((cause: unknown) => {
    throw new AppError(
      "order-refused",
      "a password could not be opened: it is not sealed to this agent",
      { cause },
    );
  });
  return new TextDecoder().decode(plaintext);
}

/** Sends progress and log about every second, and a heartbeat well before the lease ends; aborts when the lease is lost. */
function startReporting(
  ctx: AgentCtx,
  { entry, leaseSeconds, lost }: { entry: SpoolEntry; leaseSeconds: number; lost: AbortController },
) {
  const state = {
    progress: null as Progress | null,
    sent: null as Progress | null,
    sentAt: Date.now(),
    offset: 0,
  };
  let current: Promise<void> = Promise.resolve();
  let stopped = false;
  const once = async () => {
    try {
      state.offset = await deliverLog(ctx, { entry, offset: state.offset });
      const due = Date.now() - state.sentAt > (leaseSeconds * 1000) / 3;
      if (state.progress !== state.sent || due) {
        const { progress } = state;
        await report(ctx, { entry, kind: "heartbeat", body: JSON.stringify({ progress }) });
        state.sent = progress;
        state.sentAt = Date.now();
      }
    } catch (error) {
      // Out of contact, rsync goes on and the spool keeps the log; a lost lease ends it.
      if (isFinal(error)) {
        stopped = true;
        if (error.code === "stale-attempt") lost.abort(error.message);
      }
    }
    if (!stopped) schedule();
  };
  let timer: NodeJS.Timeout;
  const schedule = () => {
    timer = setTimeout(() => {
      current = once();
    }, reportEveryMilliseconds);
  };
  schedule();
  return {
    onProgress: (progress: Progress) => {
      state.progress = progress;
    },
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await current;
      return state.offset;
    },
  };
}

/** Does what a checked order says. @throws AppError `order-refused`, `conflict`. */
async function work(
  ctx: AgentCtx,
  {
    claims,
    entry,
    signal,
    onProgress,
  }: {
    claims: OrderClaims;
    entry: SpoolEntry;
    signal: AbortSignal;
    onProgress: (progress: Progress) => void;
  },
): Promise<Omit<Result, "logBytes">> {
  const { sync } = claims;
  checkPolicy(ctx.config.policy, { sync });
  const destination = await resolveDestination({
    mirrorRoot: ctx.config.mirrorRoot,
    destination: sync.destination,
  });
  const held = await holdDestination({ destination });
  try {
    const password =
      sync.sealedPassword === null ? null : await openSealed(ctx, { sealed: sync.sealedPassword });
    entry.write(
      `attempt ${claims.attempt} of project ${sync.project}: ${formatRsyncUrl(sync.source)} to ${destination}`,
    );
    return await syncTree(ctx.config, {
      sync,
      destination,
      password,
      signal,
      onLine: entry.write,
      onProgress,
    });
  } finally {
    await held.release();
  }
}

/** An order that could not be begun, as a result: nothing on disk has changed. */
function refusal(error: unknown): Omit<Result, "logBytes"> {
  const known = error instanceof AppError;
  return {
    outcome: known && error.code === "order-refused" ? "refused" : "retryable",
    exitCode: null,
    message: known ? error.message : `the agent failed: ${(error as Error).message}`,
    changes: 0,
    stats: null,
    seconds: 0,
  };
}

/** The ids that reports go to. They come with the order but are not believed: the task token alone counts. */
function ticketOf({ order, taskToken }: NonNullable<PollAnswer["lease"]>) {
  const { sub, attempt } = decodeJwt<{ attempt: number }>(order);
  if (!/^[0-9a-f-]{36}$/.test(sub ?? "") || !Number.isSafeInteger(attempt)) {
    throw new AppError("order-refused", "the task order names no task and attempt");
  }
  return { taskId: sub!, attempt, taskToken };
}

/** Takes one lease: checks the order, works, and delivers log and result, also of a refusal. */
export async function runTask(
  ctx: AgentCtx,
  {
    lease,
    stop,
    hurry,
  }: { lease: NonNullable<PollAnswer["lease"]>; stop: AbortSignal; hurry: AbortSignal },
): Promise<void> {
  const entry = await newSpoolEntry({ stateDir: ctx.config.stateDir, ticket: ticketOf(lease) });
  const lost = new AbortController();
  const reporting = startReporting(ctx, { entry, leaseSeconds: lease.leaseSeconds, lost });
  let result: Omit<Result, "logBytes">;
  try {
    const now = Date.now() / 1000 + ctx.clock.skewSeconds;
    const claims = await verifyOrder(
      { identity: ctx.identity, seen: ctx.seen, now },
      { order: lease.order },
    );
    ctx.log(`project ${claims.sync.project}: attempt ${claims.attempt} begins`);
    result = await work(ctx, {
      claims,
      entry,
      signal: AbortSignal.any([stop, lost.signal]),
      onProgress: reporting.onProgress,
    });
  } catch (error) {
    result = refusal(error);
  }
  entry.write(`${result.outcome}${result.message ? `: ${result.message}` : ""}`);
  await entry.finish(result);
  ctx.log(
    `task ${entry.ticket.taskId}: ${result.outcome}${result.message ? `: ${result.message}` : ""}`,
  );
  const offset = await reporting.stop();
  await deliverResult(ctx, { entry, offset, signal: hurry });
}
