import type { SyncSpec } from "../protocol/order.ts";
import type { Progress, Result } from "../protocol/report.ts";
import { formatRsyncUrl } from "../protocol/rsync.ts";
import { eventByOutcome } from "../protocol/states.ts";
import type { AgentCtx } from "./context.ts";
import { checkMarker, chooseRoot, holdDestination, resolveDestination } from "./destination.ts";
import { watchRoom, whyNoRoom } from "./room.ts";
import { classifyExit } from "./rsync/exit-codes.ts";
import { addStats, syncTree } from "./rsync/sync.ts";
import { openSealed } from "./sealed.ts";
import {
  fetchSentinel,
  judgeSentinel,
  recallSentinel,
  rememberSentinel,
  type Sentinel,
  sentinelKey,
} from "./sentinel.ts";

type Report = Omit<Result, "logBytes">;
type Step = SyncSpec["steps"][number];
type Input = {
  sync: SyncSpec;
  signal: AbortSignal;
  onLine: (line: string) => void;
  onProgress: (progress: Progress) => void;
};
type Pull = {
  step: Step;
  source: Step["sources"][number]["source"];
  password: string | null;
  destination: string;
  input: Input;
};

/** Exit codes of an rsync that did not get to the source: the next one may be there. */
const unreachableCodes = new Set([5, 10, 35]);

const nothingDone = { exitCode: null, changes: 0, stats: null, seconds: 0 };

/** Pulls from one source, and remembers its sentinel of before when the whole tree came. */
async function scan(
  ctx: AgentCtx,
  { step, source, password, destination, input }: Pull,
  { sentinel, key }: { sentinel: Sentinel | null; key: string },
): Promise<Report> {
  const { sync, ...run } = input;
  const { rsync, stateDir } = ctx.config;
  const scannedAt = Date.now();
  input.onLine(`${formatRsyncUrl(source)} to ${destination}`);
  const result = await syncTree(
    { rsync, stateDir },
    {
      ...run,
      pull: { source, options: sync.options, limits: sync.limits },
      destination,
      password,
    },
  );
  if (result.outcome === "ok" && sentinel && step.sentinel !== null)
    await rememberSentinel({ stateDir, key, remembered: { ...sentinel, scannedAt } });
  return result;
}

/** Asks a source's sentinel first, where the order names one; pulls unless it says that there is no need, or no sense. */
async function pullFrom(ctx: AgentCtx, pull: Pull): Promise<{ result: Report; tryNext: boolean }> {
  const { step, source, password, destination, input } = pull;
  const { stateDir } = ctx.config;
  const { sync } = input;
  const key = sentinelKey([sync.project, destination, step.sentinel, sync.options.filters]);
  const { exit, sentinel } =
    step.sentinel === null
      ? { exit: null, sentinel: null }
      : await fetchSentinel(ctx.config, {
          source,
          path: step.sentinel,
          password,
          limits: sync.limits,
          signal: input.signal,
        });
  if (exit?.exitCode && unreachableCodes.has(exit.exitCode)) {
    const ended = classifyExit({ exitCode: exit.exitCode, stderr: exit.stderr });
    return { result: { ...nothingDone, ...ended, exitCode: exit.exitCode }, tryNext: true };
  }
  const remembered = await recallSentinel({ stateDir, key });
  const judged = sentinel
    ? judgeSentinel({
        sentinel,
        remembered,
        scanEverySeconds: sync.scanEverySeconds,
        now: Date.now(),
      })
    : "scan";
  if (judged === "unchanged") {
    const message = `unchanged: ${step.sentinel} is as it was before the last scan`;
    return { result: { ...nothingDone, outcome: "ok", message }, tryNext: false };
  }
  if (judged === "older") {
    const message = `${formatRsyncUrl(source)} is older than what was pulled before: ${step.sentinel} is of ${new Date(sentinel!.mtimeMs).toISOString()}, and was of ${new Date(remembered!.mtimeMs).toISOString()}`;
    return { result: { ...nothingDone, outcome: "retryable", message }, tryNext: true };
  }
  if (step.sentinel !== null && !sentinel && !input.signal.aborted)
    input.onLine(`the source has no ${step.sentinel}: scanning the whole tree`);
  const result = await scan(ctx, pull, { sentinel, key });
  return { result, tryNext: unreachableCodes.has(result.exitCode ?? 0) };
}

/** One step: the first of its sources that can be reached, and is not older than what was pulled before. */
async function runStep(
  ctx: AgentCtx,
  { step, destination, input }: { step: Step; destination: string; input: Input },
): Promise<Report> {
  let result: Report | undefined;
  for (const { source, sealedPassword } of step.sources) {
    if (result) input.onLine(`${result.message}; trying the next source`);
    const password =
      sealedPassword === null ? null : await openSealed(ctx, { sealed: sealedPassword });
    const pulled = await pullFrom(ctx, { step, source, password, destination, input });
    result = pulled.result;
    if (!pulled.tryNext || input.signal.aborted) break;
  }
  return result!;
}

function together(first: Report | undefined, second: Report): Report {
  if (!first) return second;
  return {
    ...second,
    // A warning of one step is one of the whole.
    outcome: second.outcome === "ok" ? first.outcome : second.outcome,
    message: second.message || first.message,
    changes: first.changes + second.changes,
    stats: addStats(first.stats, second.stats),
    seconds: first.seconds + second.seconds,
  };
}

type Place = { step: Step; destination: string };

/** Where each step goes; all of them before the first begins: an order of which a part is refused changes nothing. */
async function placesOf(sync: SyncSpec, { mirrorRoot }: { mirrorRoot: string }): Promise<Place[]> {
  const places: Place[] = [];
  for (const step of sync.steps) {
    const destination = await resolveDestination({ mirrorRoot, destination: step.destination });
    places.push({ step, destination });
  }
  return places;
}

async function runSteps(
  ctx: AgentCtx,
  { places, input }: { places: Place[]; input: Input },
): Promise<Report> {
  let result: Report | undefined;
  for (const { step, destination } of places) {
    const held = await holdDestination({ destination });
    try {
      result = together(result, await runStep(ctx, { step, destination, input }));
    } finally {
      await held.release();
    }
    if (eventByOutcome[result.outcome] !== "succeed") break;
  }
  return result!;
}

/**
 * Does what a checked order says: its steps in order, each on a destination that it holds alone, up to
 * the first that fails; not on a disk that is not there or has no room, and no longer than it has.
 * @throws AppError `order-refused`, `conflict`, `unavailable`.
 */
export async function workOn(ctx: AgentCtx, input: Input): Promise<Report> {
  const { minFreePercent, rootMarker } = ctx.config;
  const root = chooseRoot({ ...ctx.config, root: input.sync.root });
  await checkMarker({ root, rootMarker });
  const noRoom = await whyNoRoom({ root, minFreePercent });
  if (noRoom !== null) return { ...nothingDone, outcome: "retryable", message: noRoom };
  const places = await placesOf(input.sync, { mirrorRoot: root });
  const room = watchRoom({ root, minFreePercent });
  try {
    const signal = AbortSignal.any([input.signal, room.full]);
    const result = await runSteps(ctx, { places, input: { ...input, signal } });
    // Its reason is a text of ours.
    if (result.outcome === "interrupted" && room.full.aborted)
      return { ...result, outcome: "retryable", message: `ended: ${String(room.full.reason)}` };
    return result;
  } finally {
    room.stop();
  }
}
