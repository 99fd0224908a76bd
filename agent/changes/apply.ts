import { createReadStream } from "node:fs";
import { lstat, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Carry } from "../../protocol/order.ts";
import type { Result } from "../../protocol/report.ts";
import { pathsArgv, type Pull } from "../rsync/argv.ts";
import { type RsyncCtx, type RsyncExit, runRsync } from "../rsync/spawn.ts";
import { addStats, allowedDeletions } from "../rsync/sync.ts";
import { fetchLists, ListsUnusable, type PathFiles, splitAtNul, writePathFiles } from "./fetch.ts";

type Input = {
  lists: NonNullable<Carry["lists"]>;
  /** Entries of the master's tree. */
  files: number;
  project: string;
  pull: Pull;
  destination: string;
  password: string | null;
  signal: AbortSignal;
  onLine: (line: string) => void;
};

/** The rsyncs in their order: what a path is missing for is passed over, until only deletions are left. */
const passesOf = ({ payload, indexes, deleted, above, deletions }: PathFiles, { pull }: Input) => [
  { ...payload, more: ["--ignore-missing-args", "--force"] },
  { ...indexes, more: ["--ignore-missing-args", "--force"] },
  ...(pull.options.delete
    ? [
        { ...deleted, more: ["--delete-missing-args", "--force", `--max-delete=${deletions}`] },
        { ...above, more: ["--ignore-missing-args"] },
      ]
    : []),
];

/** Leaves it to a scan and its guard where more would be deleted than may be. */
function checkDeletions({ deletions }: PathFiles, { files, pull }: Input): void {
  if (deletions > allowedDeletions({ total: files, limits: pull.limits }))
    throw new ListsUnusable(`the change lists delete ${deletions} of ${files} entries`);
}

/** A directory that somebody has replaced by a symlink: what is deleted below it would be elsewhere. */
async function checkNoSymlinks({
  destination,
  pathsFile,
}: {
  destination: string;
  pathsFile: string;
}): Promise<void> {
  for await (const path of splitAtNul(createReadStream(pathsFile))) {
    const found = await lstat(Buffer.from(`${destination}/${path}`, "latin1")).catch(() => null);
    if (found?.isSymbolicLink())
      throw new ListsUnusable(`${path} has become a symlink on this host`);
  }
}

/**
 * Brings a tree from one generation to another by what changed, not by what exists. What changed comes
 * first, indexes after it; then what the lists say was deleted goes, and no more entries than they name;
 * then the directories above get their times. Null where that was not possible to the letter: the whole
 * tree must be scanned.
 */
export async function applyLists(
  ctx: RsyncCtx,
  input: Input,
): Promise<Pick<Result, "changes" | "stats" | "message"> | null> {
  const { lists, project, pull, destination, password, signal, onLine } = input;
  const { generation: newest } = lists.at(-1) ?? { generation: null };
  if (newest === null) return { changes: 0, stats: null, message: "" };
  const directory = join(ctx.stateDir, "fetched", project);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const run = (argv: string[], log: (line: string) => void): Promise<RsyncExit> =>
    runRsync(ctx, {
      ...pull.limits,
      argv,
      password,
      signal,
      onLine: log,
      onProgress: () => {},
    });
  try {
    const { source, options } = pull;
    await fetchLists({ lists, project, source, directory, run: (argv) => run(argv, () => {}) });
    const files = await writePathFiles({ lists, directory, options });
    checkDeletions(files, input);
    await checkNoSymlinks({ destination, pathsFile: files.above.path });
    let changes = 0;
    let stats: Result["stats"] = null;
    for (const { path, paths, more } of passesOf(files, input)) {
      if (paths === 0) continue;
      const exit = await run(pathsArgv({ pull, destination, pathsFile: path, more }), onLine);
      if (exit.ended !== "exited" || exit.exitCode !== 0)
        throw new ListsUnusable(
          `the change lists do not fit (rsync ${exit.exitCode ?? exit.ended})`,
        );
      changes += exit.changes;
      stats = addStats(stats, exit.stats);
    }
    const oldest = lists[0]!.generation;
    const named = oldest === newest ? `list ${newest}` : `lists ${oldest} to ${newest}`;
    return { changes, stats, message: `by change ${named}` };
  } catch (error) {
    if (!(error instanceof ListsUnusable)) throw error;
    if (!signal.aborted) onLine(`${error.message}: scanning the whole tree`);
    return null;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
