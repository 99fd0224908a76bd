import { decodeJwt } from "jose";
import { AppError } from "../protocol/errors.ts";
import type { PollAnswer } from "../protocol/fleet.ts";
import {
  heartbeatAnswerSchema,
  nothingDone,
  type Progress,
  type Report,
} from "../protocol/report.ts";
import type { AgentCtx } from "./context.ts";
import { deliverLog, deliverResult, report } from "./deliver.ts";
import { diskTrouble, stateDirectory } from "./disk-trouble.ts";
import { isFinal } from "./request.ts";
import { checkPolicy } from "./policy.ts";
import { newSpoolEntry, type SpoolEntry } from "./spool.ts";
import { verifyOrder } from "./verify-order.ts";
import { workOn } from "./work.ts";

const reportEveryMilliseconds = 1000;

/** Milliseconds to the next heartbeat: as the control plane says, moved by up to a fifth. */
const heartbeatAfter = ({ heartbeatSeconds }: { heartbeatSeconds: number }) =>
  heartbeatSeconds * 1000 * (0.8 + 0.4 * Math.random());

/**
 * Sends progress and log about every second, and a heartbeat when it is time for one: it extends the
 * lease. `end` is aborted with "lost" or "cancelled" when the work is to end.
 */
function startReporting(
  ctx: AgentCtx,
  {
    entry,
    end,
    heartbeatSeconds,
  }: { entry: SpoolEntry; end: AbortController; heartbeatSeconds: number },
) {
  const state = {
    progress: null as Progress | null,
    sent: null as Progress | null,
    // Not Date.now(): a clock that is set back must not silence the heartbeats.
    nextBeat: performance.now() + heartbeatAfter({ heartbeatSeconds }),
    offset: 0,
  };
  let current: Promise<void> = Promise.resolve();
  let stopped = false;
  const onCancel = () => end.abort("cancelled");
  const once = async () => {
    try {
      state.offset = await deliverLog(ctx, { entry, offset: state.offset, onCancel });
      if (state.progress !== state.sent || performance.now() >= state.nextBeat) {
        const { progress } = state;
        const body = JSON.stringify({ progress });
        const answer = heartbeatAnswerSchema.parse(
          await report(ctx, { entry, kind: "heartbeat", body }),
        );
        if (answer.cancel) onCancel();
        state.sent = progress;
        state.nextBeat = performance.now() + heartbeatAfter(answer);
      }
    } catch (error) {
      // Out of contact, rsync goes on and the spool keeps the log; a lost lease ends it.
      if (isFinal(error)) {
        stopped = true;
        if (error.code === "stale-attempt") end.abort("lost");
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

/** What the agent writes to, in the words of its settings. */
const writablesOf = ({
  config: { stateDir, mirrorRoots, quarantines },
}: Pick<AgentCtx, "config">) => [
  { name: stateDirectory, path: stateDir },
  ...mirrorRoots.map((path) => ({ name: "the mirror root", path })),
  ...(quarantines ?? []).map((path) => ({ name: "the quarantine", path })),
];

/** An order that could not be begun, or that a fault ended, as a result. */
export async function refusal(ctx: Pick<AgentCtx, "config">, error: unknown): Promise<Report> {
  const known = error instanceof AppError;
  return {
    outcome: known && error.code === "order-refused" ? "refused" : "retryable",
    ...nothingDone,
    message: known
      ? error.message
      : ((await diskTrouble(error, writablesOf(ctx))) ??
        `the agent failed: ${(error as Error).message}`),
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
  const end = new AbortController();
  ctx.work.ends.set(entry.ticket.taskId, end);
  const reporting = startReporting(ctx, { entry, end, ...lease });
  let result: Report;
  let project = "";
  let dryRun = false;
  try {
    const now = Date.now() / 1000 + ctx.clock.skewSeconds;
    const claims = await verifyOrder(
      { identity: ctx.identity, seen: ctx.seen, now },
      { order: lease.order },
    );
    project = claims.sync.project;
    dryRun = claims.sync.dryRun ?? false;
    ctx.work.projects.add(project);
    ctx.log(`project ${project}: attempt ${claims.attempt} begins`);
    checkPolicy(ctx.config.policy, { sync: claims.sync });
    result = await workOn(ctx, {
      sync: claims.sync,
      signal: AbortSignal.any([stop, end.signal]),
      onLine: entry.write,
      onProgress: reporting.onProgress,
    });
    if (result.outcome === "interrupted" && end.signal.reason === "cancelled")
      result = { ...result, outcome: "cancelled", message: "cancelled by an operator" };
  } catch (error) {
    result = await refusal(ctx, error);
  } finally {
    ctx.work.projects.delete(project);
  }
  entry.write(`${result.outcome}${result.message ? `: ${result.message}` : ""}`);
  await entry.finish(result);
  if (project !== "" && !dryRun) await ctx.metrics.note({ project, ...result });
  ctx.log(
    `task ${entry.ticket.taskId}: ${result.outcome}${result.message ? `: ${result.message}` : ""}`,
  );
  const offset = await reporting.stop();
  ctx.work.ends.delete(entry.ticket.taskId);
  await deliverResult(ctx, { entry, offset, signal: hurry });
}
