import { chmodSync, fstatSync, lstatSync, rmdirSync, unlinkSync } from "node:fs";
import { type Directory, entryIn, noteTimes, openBelow, pathOfOpen, turns } from "../open-below.ts";
import type { QuarantineEntry } from "../quarantine.ts";
import { ListsUnusable } from "./unusable.ts";

const isCode = (error: unknown, ...codes: string[]) =>
  codes.includes((error as NodeJS.ErrnoException).code ?? "");

/** Does what needs the right to write in a directory; one that its owner may not write in is given that until then. */
function writingIn(directory: Directory, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!isCode(error, "EACCES")) throw error;
    const path = pathOfOpen(directory);
    const mode = fstatSync(directory).mode & 0o7777;
    chmodSync(path, mode | 0o700);
    try {
      work();
    } finally {
      chmodSync(path, mode);
    }
  }
}

/** Takes one entry away; false where there is none. */
function removeEntry(
  directory: Directory,
  { name, path, keep }: { name: string; path: string; keep: QuarantineEntry | null },
): boolean {
  const entry = entryIn(directory, name);
  const found = lstatSync(entry, { throwIfNoEntry: false });
  if (!found) return false;
  try {
    writingIn(directory, () => {
      if (!found.isDirectory()) return keep ? keep.take({ from: entry, path }) : unlinkSync(entry);
      rmdirSync(entry);
      keep?.makeDirectory({ path, mode: found.mode & 0o7777 });
    });
  } catch (error) {
    if (!isCode(error, "ENOTEMPTY", "EEXIST")) throw error;
    throw new ListsUnusable(`directory ${path} holds more than the change lists say`);
  }
  return true;
}

/**
 * Takes entries away, exactly those that are named: a directory only when it is empty, nothing through
 * a symlink. `paths` below `root` are bytes as latin1, what is in a directory before the directory.
 * The directories that stay keep their mode and, to the microsecond, their times. Answers how many
 * entries there were. rsync's own way, `--delete-missing-args`, fails with rsync 3.4.3 and with the
 * security updates of 3.2.7 and 3.4.1 (its issue 910). @throws ListsUnusable.
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
  const below = openBelow({ root });
  const pause = turns();
  let removed = 0;
  let entered: string | null = null;
  let directory: ReturnType<typeof below.directory> = "missing";
  let leave = () => {};
  try {
    for await (const path of paths) {
      await pause();
      if (signal.aborted) throw new ListsUnusable("told to stop");
      const at = path.lastIndexOf("/");
      const parent = at === -1 ? "" : path.slice(0, at);
      if (parent !== entered) {
        leave();
        leave = () => {};
        directory = below.directory(parent);
        if (typeof directory !== "string") leave = noteTimes(directory);
        entered = parent;
      }
      if (directory === "something else" && !mayBeReplaced)
        throw new ListsUnusable(`what ${path} was in is no directory on this host`);
      if (typeof directory === "string") continue;
      if (!removeEntry(directory, { name: path.slice(at + 1), path, keep })) continue;
      removed += 1;
      onRemoved(path);
    }
  } finally {
    leave();
    below.close();
  }
  return removed;
}
