import { join } from "node:path";
import { type DryRun, nothingDone, type Progress, type Report } from "../../protocol/report.ts";
import { buildArgv, type Pull } from "./argv.ts";
import { connectionOf } from "./connection.ts";
import { parseChange } from "./itemize.ts";
import { type RsyncCtx, runRsync } from "./spawn.ts";
import { classify, heldOf, isComplete, whyTooMany } from "./sync.ts";

/** Paths of each kind that are named, and their longest. */
const keptExamples = 20;
const longestExample = 500;

type Would = DryRun["created"];

const add = (would: Would, path: string) => {
  would.entries += 1;
  if (would.examples.length < keptExamples) would.examples.push(path.slice(0, longestExample));
};

const newWould = (): Would => ({ entries: 0, examples: [] });

/**
 * Lists what a sync of `destination` would do, and does nothing. A destination that is missing stays so:
 * everything would be created.
 */
export async function dryRunTree(
  ctx: RsyncCtx,
  {
    pull,
    destination,
    password,
    below,
    ...run
  }: {
    pull: Pull;
    destination: string;
    password: string | null;
    /** Place of the destination in its project, before each path; "": the project's own. */
    below: string;
    signal: AbortSignal;
    onLine: (line: string) => void;
    onProgress: (progress: Progress) => void;
  },
): Promise<Report> {
  const started = performance.now();
  const [created, changed, deleted] = [newWould(), newWould(), newWould()];
  const exit = await runRsync(ctx, {
    ...run,
    ...pull.limits,
    password,
    connection: connectionOf(pull),
    manyLines: true,
    argv: buildArgv({ pull, destination, maxDelete: "list", atOnce: false }),
    onChange: (line) => {
      const change = parseChange(line);
      if (change === null) return;
      const path = join(below, change.path);
      if (change.kind === "deleted") add(deleted, path);
      else add(change.created ? created : changed, path);
    },
  });
  const { stats } = exit;
  const would = isComplete(exit) && {
    dryRun: {
      created,
      changed,
      deleted,
      bytes: stats?.transferredBytes ?? 0,
      files: stats?.files ?? 0,
      totalBytes: stats?.totalBytes ?? 0,
      held: whyTooMany({ held: heldOf(exit), ...pull }),
    },
  };
  return {
    ...nothingDone,
    ...classify({ exit, pull }),
    exitCode: exit.exitCode,
    seconds: Math.round(performance.now() - started) / 1000,
    ...would,
  };
}
