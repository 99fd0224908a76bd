import { chmod, type FileHandle, lstat, rmdir, unlink } from "node:fs/promises";
import { entryIn, openBelow, pathOfOpen } from "../open-below.ts";
import type { QuarantineEntry } from "../quarantine.ts";
import { ListsUnusable } from "./unusable.ts";

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code;

/** Does what needs the right to write in a directory; one that its owner may not write in is given that. */
async function writingIn(directory: FileHandle, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (codeOf(error) !== "EACCES") throw error;
    const path = pathOfOpen(directory);
    await chmod(path, ((await lstat(`${path}/.`)).mode & 0o7777) | 0o700);
    await work();
  }
}

async function removeEntry(
  directory: FileHandle,
  { name, path, keep }: { name: string; path: string; keep: QuarantineEntry | null },
): Promise<boolean> {
  const entry = entryIn(directory, name);
  const found = await lstat(entry).catch((error: unknown) => {
    if (codeOf(error) !== "ENOENT") throw error;
    return null;
  });
  if (!found) return false;
  try {
    await writingIn(directory, async () => {
      if (!found.isDirectory()) return keep ? keep.take({ from: entry, path }) : unlink(entry);
      await rmdir(entry);
      await keep?.makeDirectory({ path, mode: found.mode & 0o7777 });
    });
  } catch (error) {
    if (codeOf(error) !== "ENOTEMPTY" && codeOf(error) !== "EEXIST") throw error;
    throw new ListsUnusable(`directory ${path} holds more than the change lists say`);
  }
  return true;
}

/**
 * Takes entries away, exactly those that are named: a directory only when it is empty, nothing through
 * a symlink. `paths` below `root` are bytes as latin1, what is in a directory before the directory.
 * Answers how many there were. rsync's own way, `--delete-missing-args`, fails with rsync 3.4.3 and with
 * the security updates of 3.2.7 and 3.4.1 (its issue 910). @throws ListsUnusable.
 */
export async function removeListed({
  root,
  paths,
  keep,
  mayBeReplaced,
  onRemoved,
  signal,
}: {
  root: string;
  paths: AsyncIterable<string>;
  /** What they were in may be something else by now. */
  mayBeReplaced: boolean;
  /** Where they go instead; null: nowhere. */
  keep: QuarantineEntry | null;
  onRemoved: (path: string) => void;
  signal: AbortSignal;
}): Promise<number> {
  const below = await openBelow({ root });
  let removed = 0;
  try {
    for await (const path of paths) {
      if (signal.aborted) throw new ListsUnusable("told to stop");
      const at = path.lastIndexOf("/");
      const directory = await below.directory(at === -1 ? "" : path.slice(0, at));
      if (directory === "something else" && !mayBeReplaced)
        throw new ListsUnusable(`what ${path} was in is no directory on this host`);
      if (typeof directory === "string") continue;
      if (!(await removeEntry(directory, { name: path.slice(at + 1), path, keep }))) continue;
      removed += 1;
      onRemoved(path);
    }
  } finally {
    await below.close();
  }
  return removed;
}
