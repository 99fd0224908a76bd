import type { SyncSpec } from "../../protocol/order.ts";
import type { Progress, Result, SyncStats } from "../../protocol/report.ts";
import type { RsyncLimits } from "../../protocol/rsync.ts";
import { buildArgv } from "./argv.ts";
import { classifyExit } from "./exit-codes.ts";
import { type RsyncExit, runRsync } from "./spawn.ts";

type SyncInput = {
  sync: SyncSpec;
  destination: string;
  password: string | null;
  signal: AbortSignal;
  onLine: (line: string) => void;
  onProgress: (progress: Progress) => void;
};

/** So many files may always go, whatever the share: small trees change by more than a percent. */
const deletionFloor = 10;

/** Exit codes of a first pass that got through the whole tree. */
const completeCodes = new Set([0, 23, 24, 25]);

/** Says why `deletions` must not be made; null where they may. Pure. */
export function whyHeld({
  deletions,
  sourceFiles,
  limits,
}: {
  deletions: number;
  sourceFiles: number;
  limits: RsyncLimits;
}): string | null {
  if (limits.approvedDeletions !== null && deletions <= limits.approvedDeletions) return null;
  const cure = `Nothing was deleted. To let them go, trigger the project with approveDeletions ${deletions}`;
  // The root itself counts as one.
  if (sourceFiles <= 1)
    return `the source has turned empty, and ${deletions} files would be deleted. ${cure}`;
  const total = sourceFiles + deletions;
  const allowed = Math.max(deletionFloor, Math.floor((limits.maxDeletePercent / 100) * total));
  if (deletions <= allowed) return null;
  return `${deletions} of ${total} files would be deleted; the limit is ${allowed} (${limits.maxDeletePercent} %). ${cure}, or raise the project's maxDeletePercent`;
}

function addStats(first: SyncStats | null, second: SyncStats | null): SyncStats | null {
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

type Ended = Pick<Result, "outcome" | "message">;

function classify({ exit, sync }: { exit: RsyncExit; sync: SyncSpec }): Ended {
  const { wallClockSeconds, stallSeconds } = sync.limits;
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
 * Makes `destination` equal to the source. New and changed files first, with `--max-delete=0`, where
 * rsync deletes nothing and counts what it would; a second pass deletes, if the guard lets it.
 */
export async function syncTree(
  ctx: { rsync: string },
  input: SyncInput,
): Promise<Omit<Result, "logBytes">> {
  const started = performance.now();
  const { sync, destination, ...run } = input;
  const pass = (maxDelete: number | null) =>
    runRsync(ctx, { ...run, ...sync.limits, argv: buildArgv({ sync, destination, maxDelete }) });
  const first = await pass(0);
  const result = (exit: RsyncExit, ended: Ended, changes = exit.changes, stats = exit.stats) => ({
    ...ended,
    exitCode: exit.exitCode,
    changes,
    stats,
    seconds: Math.round(performance.now() - started) / 1000,
  });
  const deletions = first.skippedDeletions;
  const complete =
    first.ended === "exited" && first.exitCode !== null && completeCodes.has(first.exitCode);
  if (!complete || deletions === 0) return result(first, classify({ exit: first, sync }));
  const held = whyHeld({ deletions, sourceFiles: first.stats?.files ?? 0, limits: sync.limits });
  if (held !== null) return result(first, { outcome: "held", message: held });
  run.onLine(`deleting ${deletions} files that the source no longer has`);
  // A directory's own entry is not among those counted, so the second pass may need a few more.
  const second = await pass(Math.max(deletions * 2, deletions + deletionFloor));
  return result(
    second,
    classify({ exit: second, sync }),
    first.changes + second.changes,
    addStats(first.stats, second.stats),
  );
}
