import { createReadStream, lstatSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Carry } from "../../protocol/order.ts";
import type { Result } from "../../protocol/report.ts";
import { turns } from "../open-below.ts";
import type { QuarantineEntry } from "../quarantine.ts";
import { pathsArgv, type Pull, topArgv } from "../rsync/argv.ts";
import { connectionOf } from "../rsync/connection.ts";
import { indexPatterns } from "../rsync/indexes.ts";
import { deletionLine, escapePath, readable } from "../rsync/itemize.ts";
import { type RsyncCtx, type RsyncExit, runRsync } from "../rsync/spawn.ts";
import { deletedStats } from "../rsync/stats.ts";
import { addStats, allowedDeletions } from "../rsync/sync.ts";
import { contentsFirst, fetchLists, type PathFiles, writePathFiles } from "./fetch.ts";
import { removeListed } from "./remove.ts";
import { splitAtNul } from "./sorted.ts";
import { ListsUnusable } from "./unusable.ts";

type Input = {
  lists: NonNullable<Carry["lists"]>;
  /** Entries of the master's tree. */
  files: number;
  project: string;
  pull: Pull;
  destination: string;
  password: string | null;
  /** Where deleted files go; null: nowhere. */
  keep: QuarantineEntry | null;
  signal: AbortSignal;
  onLine: (line: string) => void;
};
type Done = Pick<Result, "changes" | "stats">;

/** Leaves it to a scan and its guard where more would be deleted than may be. */
function checkDeletions({ deleted, replaced }: PathFiles, { files, pull }: Input): void {
  const deletions = deleted.paths + replaced.paths;
  if (deletions > allowedDeletions({ total: files, ...pull }))
    throw new ListsUnusable(`the change lists delete ${deletions} of ${files} entries`);
}

function isDirectory(path: Buffer): boolean {
  try {
    return lstatSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** Somebody has put something else in a directory's place, or taken it away: only a scan puts that right. */
async function checkDirectories({ known }: PathFiles, { destination }: Input): Promise<void> {
  const pause = turns();
  for await (const path of splitAtNul(createReadStream(known.path))) {
    await pause();
    if (!isDirectory(Buffer.from(`${destination}/${path}`, "latin1")))
      throw new ListsUnusable(`${escapePath(path)} is no directory on this host any more`);
  }
}

async function pullListed(
  ctx: RsyncCtx,
  { pull, password, signal, onLine }: Input,
  { argv }: { argv: string[] },
): Promise<Done> {
  const exit = await runRsync(ctx, {
    ...pull.limits,
    connection: connectionOf(pull),
    argv,
    password,
    signal,
    onLine,
    onProgress: () => {},
  });
  if (exit.ended !== "exited" || exit.exitCode !== 0)
    throw new ListsUnusable(`the change lists do not fit (rsync ${exit.exitCode ?? exit.ended})`);
  return exit;
}

/** Asks the master for the paths of a file. Its own deletions are all that `--force` would do: it is not given. */
async function pullPaths(
  ctx: RsyncCtx,
  input: Input,
  { path, paths }: PathFiles["payload"],
  { atOnce }: { atOnce: boolean },
): Promise<Done> {
  if (paths === 0) return { changes: 0, stats: null };
  return pullListed(ctx, input, { argv: pathsArgv({ ...input, pathsFile: path, atOnce }) });
}

/** Takes away what a file of paths names. */
async function remove(
  { destination, keep, signal, onLine }: Input,
  { path, paths }: PathFiles["deleted"],
  { directory, mayBeReplaced }: { directory: string; mayBeReplaced: boolean },
): Promise<Done> {
  if (paths === 0) return { changes: 0, stats: null };
  const changes = await removeListed({
    root: destination,
    paths: contentsFirst({ path, directory }),
    keep,
    mayBeReplaced,
    onRemoved: (each) => onLine(readable(deletionLine(escapePath(each)))),
    signal,
  });
  return { changes, stats: deletedStats(changes) };
}

/** The steps in their order: what a path is missing for is passed over, until only deletions are left. */
async function bring(
  ctx: RsyncCtx,
  input: Input,
  { files, directory }: { files: PathFiles; directory: string },
): Promise<Done> {
  const { delete: deletes } = input.pull.options;
  let done: Done = { changes: 0, stats: null };
  const and = (next: Done) => {
    done = {
      changes: done.changes + next.changes,
      stats: addStats(done.stats, next.stats),
    };
  };
  if (deletes) and(await remove(input, files.replaced, { directory, mayBeReplaced: true }));
  // Nobody looks for a file before an index names it.
  const atOnce = indexPatterns(input.pull.options).length > 0;
  and(await pullPaths(ctx, input, files.payload, { atOnce }));
  and(await pullPaths(ctx, input, files.indexes, { atOnce: false }));
  if (deletes) and(await remove(input, files.deleted, { directory, mayBeReplaced: false }));
  if (files.top) and(await pullListed(ctx, input, { argv: topArgv(input) }));
  return done;
}

/**
 * Brings a tree from one generation to another by what changed, not by what exists. What changed comes
 * first, indexes after it; then exactly what the lists say was deleted goes, and leaves the directories
 * as they are. Null where that was not possible to the letter: the whole tree must be scanned.
 */
export async function applyLists(
  ctx: RsyncCtx,
  input: Input,
): Promise<Pick<Result, "changes" | "stats" | "message"> | null> {
  const { lists, project, pull, password, signal, onLine } = input;
  const { generation: newest } = lists.at(-1) ?? { generation: null };
  if (newest === null) return { changes: 0, stats: null, message: "" };
  const directory = join(ctx.stateDir, "fetched", project);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const connection = connectionOf(pull);
  const run = (argv: string[]): Promise<RsyncExit> =>
    runRsync(ctx, {
      ...pull.limits,
      connection,
      argv,
      password,
      signal,
      onLine: () => {},
      onProgress: () => {},
    });
  try {
    const { source, options } = pull;
    await fetchLists({ lists, project, connection, directory, run });
    const files = await writePathFiles({ lists, directory, source, options });
    checkDeletions(files, input);
    await checkDirectories(files, input);
    const done = await bring(ctx, input, { files, directory });
    const oldest = lists[0]!.generation;
    const named = oldest === newest ? `list ${newest}` : `lists ${oldest} to ${newest}`;
    return { ...done, message: `by change ${named}` };
  } catch (error) {
    if (!(error instanceof ListsUnusable)) throw error;
    if (!signal.aborted) onLine(`${error.message}: scanning the whole tree`);
    return null;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
