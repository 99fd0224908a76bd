import { readdir } from "node:fs/promises";
import type { Held, Progress, Result, SyncStats } from "../../protocol/report.ts";
import type { RsyncLimits, RsyncOptions } from "../../protocol/rsync.ts";
import { buildArgv, type Pull } from "./argv.ts";
import { connectionOf } from "./connection.ts";
import { classifyExit } from "./exit-codes.ts";
import { indexPatterns, waitsForDeletionsOnly } from "./indexes.ts";
import { keptStderr, type RsyncCtx, type RsyncExit, runRsync } from "./spawn.ts";

type SyncInput = {
  pull: Pull;
  destination: string;
  password: string | null;
  /** Where what is deleted goes; left out: nowhere. */
  backupDirectory?: string | undefined;
  signal: AbortSignal;
  onLine: (line: string) => void;
  onChange?: ((line: string) => void) | undefined;
  /** Called when more may have been done than was told. */
  onUntold?: (() => void) | undefined;
  onProgress: (progress: Progress) => void;
};

/** So many files may always go, whatever the share: small trees change by more than a percent. */
const deletionFloor = 10;

/** Exit codes of a pass that got through the whole tree. */
const completeCodes = new Set([0, 23, 24, 25]);

/** How many of `total` entries may be deleted without an operator's approval; pure. */
export const allowedDeletions = ({
  total,
  limits,
  options,
}: {
  total: number;
  limits: RsyncLimits;
  options: Pick<RsyncOptions, "maxDelete">;
}) => {
  const share = Math.max(deletionFloor, Math.floor((limits.maxDeletePercent / 100) * total));
  return Math.max(Math.min(share, options.maxDelete ?? share), limits.approvedDeletions ?? 0);
};

/** What a dry run says of the deletions that it would make. */
export function heldOf({ deletions, deletedPaths, deletedIn, stats }: RsyncExit): Held {
  const short = (path: string) => path.slice(0, 500);
  return {
    deletions,
    entries: (stats?.files ?? 0) + deletions,
    examples: deletedPaths.map(short),
    directories: [...deletedIn]
      .toSorted(([, left], [, right]) => right - left)
      .slice(0, 5)
      .map(([path, number]) => ({ path: short(path), deletions: number })),
  };
}

/** Says what is wrong with deletions that must not be made; null where they may. Pure. */
export function whyTooMany({
  held: { deletions, entries },
  limits,
  options,
}: {
  held: Held;
  limits: RsyncLimits;
  options: Pick<RsyncOptions, "maxDelete">;
}): string | null {
  if (limits.approvedDeletions !== null && deletions <= limits.approvedDeletions) return null;
  // The root itself counts as one.
  if (deletions > 0 && entries - deletions <= 1)
    return `the source has turned empty, and ${deletions} files would be deleted`;
  const allowed = allowedDeletions({ total: entries, limits, options });
  if (deletions <= allowed) return null;
  const share =
    allowed === options.maxDelete
      ? ""
      : allowed === deletionFloor
        ? `, which small trees have instead of ${limits.maxDeletePercent} %`
        : ` (${limits.maxDeletePercent} %)`;
  return `${deletions} of ${entries} files would be deleted; the limit is ${allowed}${share}`;
}

/** Says why deletions are held, and what an operator can do; null where they are not. Pure. */
export function whyHeld(guarded: {
  held: Held;
  limits: RsyncLimits;
  options: Pick<RsyncOptions, "maxDelete">;
}): string | null {
  const why = whyTooMany(guarded);
  if (why === null) return null;
  const { held, limits, options } = guarded;
  const { deletions, entries, examples, directories } = held;
  const paths = examples.map((path) => path.slice(0, 200)).join(", ");
  const most = directories[0] ? `; most of them in ${directories[0].path.slice(0, 200)}` : "";
  const cure = `Nothing was deleted (among them: ${paths}${most}). To let them go, approve this task (mirrorfleet held approve), or sync with --approve-deletions ${deletions}`;
  if (entries - deletions <= 1) return `${why}. ${cure}`;
  const setting =
    allowedDeletions({ total: entries, limits, options }) === options.maxDelete
      ? "rsync.maxDelete"
      : "maxDeletePercent";
  return `${why}. ${cure}, or raise the project's ${setting}`;
}

/** What two rsyncs did together. */
export function addStats(first: SyncStats | null, second: SyncStats | null): SyncStats | null {
  if (!first || !second) return second ?? first;
  const sum = (key: keyof SyncStats) => first[key] + second[key];
  return {
    ...second,
    created: sum("created"),
    deleted: sum("deleted"),
    transferred: sum("transferred"),
    transferredBytes: sum("transferredBytes"),
    literalBytes: sum("literalBytes"),
    matchedBytes: sum("matchedBytes"),
    sentBytes: sum("sentBytes"),
    receivedBytes: sum("receivedBytes"),
  };
}

/** What the rsyncs of two trees did together. */
export function addTrees(first: SyncStats | null, second: SyncStats | null): SyncStats | null {
  if (!first || !second) return second ?? first;
  return {
    ...addStats(first, second)!,
    files: first.files + second.files,
    totalBytes: first.totalBytes + second.totalBytes,
  };
}

/** A pass, and what the payload's pass before it did. */
const withPayload = (payload: RsyncExit | null, exit: RsyncExit): RsyncExit =>
  payload
    ? {
        ...exit,
        changes: payload.changes + exit.changes,
        stats: addStats(payload.stats, exit.stats),
      }
    : exit;

export const isComplete = ({ ended, exitCode }: RsyncExit) =>
  ended === "exited" && exitCode !== null && completeCodes.has(exitCode);

export type SyncResult = Pick<
  Result,
  "outcome" | "message" | "exitCode" | "changes" | "stats" | "seconds"
> & { held?: Held };
type Ended = Pick<Result, "outcome" | "message">;

/** How an rsync ended, in the words of a result. */
export function classify({ exit, pull }: { exit: RsyncExit; pull: Pull }): Ended {
  const { wallClockSeconds, stallSeconds } = pull.limits;
  if (exit.ended === "timeout")
    return { outcome: "timeout", message: `ended after the limit of ${wallClockSeconds} seconds` };
  if (exit.ended === "stalled")
    return { outcome: "stalled", message: `ended: no progress for ${stallSeconds} seconds` };
  if (exit.ended === "interrupted")
    return { outcome: "interrupted", message: "the agent was told to stop" };
  if (exit.exitCode === null)
    return { outcome: "interrupted", message: "rsync was killed by a signal" };
  return classifyExit({ exitCode: exit.exitCode, stderr: exit.stderr });
}

/**
 * Everything but the indexes, where the options name some; null where they name none. Deletes nothing.
 * Nobody looks for a file before an index names it: each comes into its place at once.
 */
async function pullPayload(
  ctx: RsyncCtx,
  {
    pull,
    destination,
    maxDelete,
    ...run
  }: Omit<SyncInput, "backupDirectory"> & { maxDelete: 0 | null },
): Promise<RsyncExit | null> {
  const without = indexPatterns(pull.options);
  if (without.length === 0) return null;
  run.onLine("everything but the indexes first");
  const argv = buildArgv({ pull, destination, maxDelete, atOnce: true, without });
  const connection = connectionOf(pull);
  return runRsync(ctx, { ...run, ...pull.limits, connection, argv, manyLines: true });
}

/** Is what the indexes will name all there? */
const isWhole = (payload: RsyncExit): boolean =>
  isComplete(payload) &&
  (payload.exitCode !== 23 || waitsForDeletionsOnly({ stderr: payload.stderr, kept: keptStderr }));

/**
 * Makes `destination` equal to the source. Where the options name indexes, everything else comes before
 * them, or they do not come. New and changed files first, with `--max-delete=0`, where
 * rsync deletes nothing; in an empty tree it does not even look. If there is something to delete, a dry run
 * lists it; if the guard lets it, a last pass deletes, and at most so many.
 */
export async function syncTree(ctx: RsyncCtx, input: SyncInput): Promise<SyncResult> {
  const started = performance.now();
  const { pull, destination, backupDirectory, ...run } = input;
  // Nobody has relied on an empty tree yet, and nothing in it can be too much.
  const atOnce = (await readdir(destination)).length === 0;
  const nothing = atOnce ? null : 0;
  const pass = (maxDelete: number | "list" | null, onProgress = run.onProgress) =>
    runRsync(ctx, {
      ...run,
      ...pull.limits,
      connection: connectionOf(pull),
      manyLines: true,
      onProgress,
      // What the dry run lists is not done yet: it stays out of the log.
      onLine: maxDelete === "list" ? () => {} : run.onLine,
      onChange: maxDelete === "list" ? undefined : run.onChange,
      onUntold: maxDelete === "list" ? undefined : run.onUntold,
      argv: buildArgv({
        pull,
        destination,
        maxDelete,
        atOnce,
        backupDirectory:
          typeof maxDelete === "number" && maxDelete > 0 ? backupDirectory : undefined,
      }),
    });
  const payload = await pullPayload(ctx, { pull, destination, maxDelete: nothing, ...run });
  if (payload && !isWhole(payload))
    return {
      ...classify({ exit: payload, pull }),
      exitCode: payload.exitCode,
      changes: payload.changes,
      stats: payload.stats,
      seconds: Math.round(performance.now() - started) / 1000,
    };
  const first = withPayload(payload, await pass(nothing));
  const result = (exit: RsyncExit, ended: Ended, changes = exit.changes, stats = exit.stats) => ({
    ...ended,
    exitCode: exit.exitCode,
    changes,
    stats,
    seconds: Math.round(performance.now() - started) / 1000,
  });
  const unchanged = (exit: RsyncExit, ended: Ended) =>
    result(exit, ended, first.changes, first.stats);
  if (!isComplete(first) || first.skippedDeletions === 0)
    return result(first, classify({ exit: first, pull }));
  const listed = await pass("list", () => {});
  if (!isComplete(listed)) return unchanged(listed, classify({ exit: listed, pull }));
  const held = heldOf(listed);
  const { deletions } = held;
  const why = whyHeld({ held, ...pull });
  if (why !== null) return { ...unchanged(first, { outcome: "held", message: why }), held };
  run.onLine(`deleting ${deletions} entries that the source no longer has`);
  const last = await pass(deletions);
  return result(
    last,
    classify({ exit: last, pull }),
    first.changes + last.changes,
    addStats(first.stats, last.stats),
  );
}
