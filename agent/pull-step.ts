import { join } from "node:path";
import type { Carry, SyncSpec } from "../protocol/order.ts";
import { nothingDone, type Progress, type Report } from "../protocol/report.ts";
import { changeListsModule, formatRsyncUrl, type Source } from "../protocol/rsync.ts";
import { applyLists } from "./changes/apply.ts";
import { forgetCarried, placeOf, recallCarried, rememberCarried } from "./changes/carried.ts";
import type { Journal } from "./changes/journal.ts";
import type { AgentCtx } from "./context.ts";
import { allowsSource } from "./policy.ts";
import type { QuarantineEntry } from "./quarantine.ts";
import type { Own } from "./rsync/argv.ts";
import { classifyExit } from "./rsync/exit-codes.ts";
import { parseChange, readable } from "./rsync/itemize.ts";
import { isIncoming } from "./rsync/staging.ts";
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
import { traceFileOf } from "./trace-file.ts";

export type Step = SyncSpec["steps"][number];
export type Input = {
  sync: SyncSpec;
  signal: AbortSignal;
  onLine: (line: string) => void;
  onProgress: (progress: Progress) => void;
};
type Pull = {
  step: Step;
  source: Source;
  password: string | null;
  destination: string;
  input: Input;
  /** Of a pull from an upstream; null: from the master. */
  journal: Journal | null;
  /** Where deleted files go; null: nowhere. */
  keep: QuarantineEntry | null;
  /** An rsync of the attempt before, or of this one, was killed: it may have left files under names of its own. */
  killed: boolean;
};

/** Exit codes of an rsync that did not get to the source: the next one may be there. */
export const unreachableCodes = new Set([5, 10, 35]);

/** Changes that are named when a scan finds what should not be. */
const keptExamples = 5;

/** A step's place in its project; "" for the project's own. */
export const belowProject = ({ step, input }: Pick<Pull, "step" | "input">) =>
  step.destination.slice(input.sync.path.length + 1);

/** This host's trace file as a step sees it; null where it does not lie in its destination. */
export function ownOf({ identity }: AgentCtx, pull: Pick<Pull, "step" | "input">): Own | null {
  const path = traceFileOf(pull.input.sync, identity);
  const below = belowProject(pull);
  const prefix = below === "" ? "" : `${below}/`;
  if (path === null || !path.startsWith(prefix)) return null;
  return { path: path.slice(prefix.length), alone: pull.input.sync.trace?.style === "timestamp" };
}

/** Compares the whole trees. */
async function scan(
  ctx: AgentCtx,
  pull: Pull,
  { onChange, onUntold }: { onChange?: (line: string) => void; onUntold?: () => void },
): Promise<Report> {
  const { source, password, destination, input, keep } = pull;
  const { sync, ...run } = input;
  input.onLine(`${formatRsyncUrl(source)} to ${destination}`);
  const result = await syncTree(ctx.config, {
    ...run,
    onChange,
    onUntold,
    ...(keep && { backupDirectory: join(keep.directory, belowProject(pull)) }),
    pull: { source, options: sync.options, limits: sync.limits, own: ownOf(ctx, pull) },
    destination,
    password,
  });
  return { ...nothingDone, ...result, scanned: result.outcome === "ok" };
}

/** Pulls from an upstream, records what that changes, and remembers the sentinel of before when the whole tree came. */
async function pullUpstream(
  ctx: AgentCtx,
  pull: Pull,
  { sentinel, key }: { sentinel: Sentinel | null; key: string },
): Promise<Report> {
  const { step, journal } = pull;
  const scannedAt = Date.now();
  const below = belowProject(pull);
  await journal?.begin();
  let untold = false;
  let ended = false;
  let result: Report;
  try {
    result = await scan(ctx, pull, {
      onChange: (line) => journal?.add({ below, line }),
      onUntold: () => (untold = true),
    });
    ended = true;
  } finally {
    await journal?.end({ clean: ended && !untold });
  }
  if (result.outcome === "ok" && sentinel && step.sentinel !== null)
    await rememberSentinel({
      stateDir: ctx.config.stateDir,
      key,
      remembered: { ...sentinel, scannedAt },
    });
  return result;
}

/** What a scan changed that comes after the change lists: nothing should be left for it. */
async function reconcile(
  ctx: AgentCtx,
  pull: Pull,
  {
    byLists,
    onChange,
  }: {
    byLists: Pick<Report, "changes" | "stats" | "message">;
    onChange: (line: string) => void;
  },
): Promise<Report> {
  const examples: string[] = [];
  const note = (line: string) => {
    onChange(line);
    if (examples.length < keptExamples) examples.push(readable(line).slice(0, 500));
  };
  const scanned = await scan(ctx, pull, { onChange: note });
  return {
    ...scanned,
    changes: byLists.changes + scanned.changes,
    stats: addStats(byLists.stats, scanned.stats),
    drift: scanned.scanned && scanned.changes > 0 ? { entries: scanned.changes, examples } : null,
  };
}

/** Brings an FTP host's tree to the master's: by change lists where they lead there, else by a scan. */
async function pullMaster(ctx: AgentCtx, pull: Pull, { carry }: { carry: Carry }): Promise<Report> {
  const { source, password, destination, input, keep, killed } = pull;
  const { stateDir } = ctx.config;
  const { project, options, limits } = input.sync;
  const key = { stateDir, project, place: await placeOf({ destinations: [destination] }) };
  const started = performance.now();
  const known = (await recallCarried(key)) === carry.from;
  const lists = { ...source, module: changeListsModule, path: project };
  const allowed = allowsSource(ctx.config.policy, { source: lists });
  if (carry.lists && !allowed)
    input.onLine(
      `${formatRsyncUrl({ ...lists, user: null })} is not allowed on this host: scanning the whole tree (to allow it, add it to MIRRORFLEET_SOURCES)`,
    );
  if (carry.lists && killed)
    input.onLine("an rsync before this one was killed: scanning the whole tree");
  const byLists =
    carry.lists && known && allowed && !killed
      ? await applyLists(ctx.config, {
          ...input,
          lists: carry.lists,
          files: carry.files,
          project,
          pull: { source, options, limits, own: ownOf(ctx, pull) },
          destination,
          password,
          keep,
        })
      : null;
  const incoming: string[] = [];
  const onChange = (line: string) => {
    const change = parseChange(line);
    if (incoming.length === 0 && change && change.kind !== "deleted" && isIncoming(change.path))
      incoming.push(change.path);
  };
  let result: Report;
  if (byLists && !carry.reconcile) {
    const seconds = Math.round(performance.now() - started) / 1000;
    result = { ...nothingDone, ...byLists, outcome: "ok", exitCode: 0, seconds };
  } else if (byLists) result = await reconcile(ctx, pull, { byLists, onChange });
  else result = await scan(ctx, pull, { onChange });
  // No list will take it away again: the next sync must compare the whole tree.
  if (incoming.length > 0) {
    await forgetCarried(key);
    input.onLine(
      `${incoming[0]!} may be half a file of a pull at work on the master: the next sync scans`,
    );
  } else if (result.outcome === "ok")
    await rememberCarried({ ...key, generation: carry.generation });
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
          options: sync.options,
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
  const result = sync.carry
    ? await pullMaster(ctx, pull, { carry: sync.carry })
    : await pullUpstream(ctx, pull, { sentinel, key });
  return { result, tryNext: unreachableCodes.has(result.exitCode ?? 0) };
}

/** How a step ended, and with which of its sources. */
type Pulled = { result: Report; source: Source };

/** One step: the first of its sources that can be reached, and is not older than what was pulled before. */
export async function pullStep(
  ctx: AgentCtx,
  step: Omit<Pull, "source" | "password">,
): Promise<Pulled> {
  const { input } = step;
  let last: Pulled | undefined;
  for (const { source, sealedPassword } of step.step.sources) {
    if (last) input.onLine(`${last.result.message}; trying the next source`);
    const password =
      sealedPassword === null ? null : await openSealed(ctx, { sealed: sealedPassword });
    const { result, tryNext } = await pullFrom(ctx, { ...step, source, password });
    last = { result, source };
    if (!tryNext || input.signal.aborted) break;
  }
  return last!;
}
