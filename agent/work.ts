import type { SyncSpec } from "../protocol/order.ts";
import type { Progress, Result } from "../protocol/report.ts";
import { formatRsyncUrl } from "../protocol/rsync.ts";
import { eventByOutcome } from "../protocol/states.ts";
import type { AgentCtx } from "./context.ts";
import { chooseRoot, holdDestination, resolveDestination } from "./destination.ts";
import { addStats, syncTree } from "./rsync/sync.ts";
import { openSealed } from "./sealed.ts";

type Report = Omit<Result, "logBytes">;
type Step = SyncSpec["steps"][number];
type Input = {
  sync: SyncSpec;
  signal: AbortSignal;
  onLine: (line: string) => void;
  onProgress: (progress: Progress) => void;
};

/** Exit codes of an rsync that did not get to the source: the next one may be there. */
const unreachableCodes = new Set([5, 10, 35]);

/** One step: the first of its sources that can be reached. */
async function runStep(
  ctx: AgentCtx,
  { step, destination, input }: { step: Step; destination: string; input: Input },
): Promise<Report> {
  const { sync, ...run } = input;
  let result: Report | undefined;
  for (const { source, sealedPassword } of step.sources) {
    if (result) input.onLine(`${result.message}; trying the next source`);
    const password =
      sealedPassword === null ? null : await openSealed(ctx, { sealed: sealedPassword });
    input.onLine(`${formatRsyncUrl(source)} to ${destination}`);
    result = await syncTree(
      { rsync: ctx.config.rsync, stateDir: ctx.config.stateDir },
      {
        ...run,
        pull: { source, options: sync.options, limits: sync.limits },
        destination,
        password,
      },
    );
    if (!unreachableCodes.has(result.exitCode ?? 0) || input.signal.aborted) break;
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

/**
 * Does what a checked order says: its steps in order, each on a destination that it holds alone, up to
 * the first that fails. @throws AppError `order-refused`, `conflict`.
 */
export async function workOn(ctx: AgentCtx, input: Input): Promise<Report> {
  let result: Report | undefined;
  const mirrorRoot = chooseRoot({ ...ctx.config, root: input.sync.root });
  // All destinations first: an order of which a part is refused changes nothing.
  const steps: { step: Step; destination: string }[] = [];
  for (const step of input.sync.steps)
    steps.push({
      step,
      destination: await resolveDestination({
        mirrorRoot,
        destination: step.destination,
      }),
    });
  for (const { step, destination } of steps) {
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
