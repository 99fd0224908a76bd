import { chmodSync, mkdirSync, renameSync } from "node:fs";
import { readdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppError } from "../protocol/errors.ts";

/** Names of entries: the time when they were begun, and whether they have been brought back. */
const entryName = /^(\d{4})-(\d\d)-(\d\d)T(\d\d)\.(\d\d)\.(\d\d)\.(\d{3})Z(-undone)?$/;
const undone = "-undone";

const nameOf = (at: Date) => at.toISOString().replaceAll(":", ".");

function timeOf(name: string): number {
  const parts = entryName.exec(name)!;
  const [, year, month, day, hour, minute, second, millisecond] = parts.map(Number);
  return Date.UTC(year!, month! - 1, day, hour, minute, second, millisecond);
}

/** What one sync of a project deletes, instead of being lost. Paths are bytes as latin1, below the project's. */
export type QuarantineEntry = {
  directory: string;
  /** Moves a file there. @throws AppError `conflict` for another file system. */
  take: (input: { from: Buffer; path: string }) => void;
  /** Notes a directory that was deleted. */
  makeDirectory: (input: { path: string; mode: number }) => void;
};

/** A new entry; on disk it is there from the first deletion on. */
export function newQuarantineEntry({
  quarantine,
  project,
  now,
}: {
  quarantine: string;
  project: string;
  now: Date;
}): QuarantineEntry {
  const directory = join(quarantine, project, nameOf(now));
  const bytes = (path: string) => Buffer.from(`${directory}/${path}`, "latin1");
  const above = (path: string) => bytes(dirname(path));
  return {
    directory,
    take: ({ from, path }) => {
      mkdirSync(above(path), { recursive: true });
      try {
        renameSync(from, bytes(path));
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== "EXDEV") throw cause;
        throw new AppError(
          "conflict",
          `nothing can be moved to ${quarantine} from here: MIRRORFLEET_QUARANTINES must be on the file system of its mirror root`,
          { cause },
        );
      }
    },
    makeDirectory: ({ path, mode }) => {
      mkdirSync(bytes(path), { recursive: true });
      chmodSync(bytes(path), mode | 0o700);
    },
  };
}

const subdirectories = async (path: string): Promise<string[]> => {
  const found = await readdir(path, { withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
      return [];
    },
  );
  return found.filter((entry) => entry.isDirectory()).map(({ name }) => name);
};

/** The latest deletions of a project that have not been brought back; null where there are none. */
export async function latestEntry({
  quarantine,
  project,
}: {
  quarantine: string;
  project: string;
}): Promise<string | null> {
  const names = await subdirectories(join(quarantine, project));
  const latest = names
    .filter((name) => entryName.test(name) && !name.endsWith(undone))
    .toSorted()
    .at(-1);
  return latest === undefined ? null : join(quarantine, project, latest);
}

/** Marks an entry as brought back; what had to stay in it stays until it expires. */
export async function markUndone({ entry }: { entry: string }): Promise<void> {
  await rename(entry, `${entry}${undone}`);
}

/** Removes the entries that are older than `days`. Answers their number. */
export async function removeExpired({
  quarantine,
  days,
  now,
}: {
  quarantine: string;
  days: number;
  now: Date;
}): Promise<number> {
  let removed = 0;
  for (const project of await subdirectories(quarantine)) {
    for (const name of await subdirectories(join(quarantine, project))) {
      if (!entryName.test(name) || now.getTime() - timeOf(name) < days * 86_400_000) continue;
      await rm(join(quarantine, project, name), { recursive: true, force: true });
      removed += 1;
    }
    // Only an empty one goes.
    await rmdir(join(quarantine, project)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "ENOENT") throw error;
    });
  }
  return removed;
}
