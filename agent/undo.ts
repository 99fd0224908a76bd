import { chmod, link, lstat, mkdir, readdir, readFile, rmdir, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "./files.ts";
import { type Below, entryIn, openBelow, pathOfOpen } from "./open-below.ts";
import { latestEntry, markUndone } from "./quarantine.ts";
import { escapePath } from "./rsync/itemize.ts";

type Counts = { restored: number; left: number };

const isCode = (error: unknown, ...codes: string[]) =>
  codes.includes((error as NodeJS.ErrnoException).code ?? "");

/** Puts a file back, unless something has its name by now. True when it is there. */
async function putBack({ from, to }: { from: Buffer; to: Buffer }): Promise<boolean> {
  try {
    // Unlike a rename it never replaces anything.
    await link(from, to);
  } catch (error) {
    if (!isCode(error, "EEXIST", "ENOTDIR")) throw error;
    const [kept, there] = [await lstat(from), await lstat(to).catch(() => null)];
    // Linked before, by an attempt that was ended in between.
    if (kept.ino !== there?.ino || kept.dev !== there.dev) return false;
  }
  await unlink(from);
  return true;
}

/** Puts back what a directory of the entry holds; the emptied directory goes. */
async function restoreDirectory(
  below: Below,
  {
    entry,
    path,
    counts,
    onLine,
  }: { entry: string; path: string; counts: Counts; onLine: (line: string) => void },
): Promise<void> {
  const from = Buffer.from(path === "" ? entry : `${entry}/${path}`, "latin1");
  for (const name of await readdir(from, { withFileTypes: true, encoding: "buffer" })) {
    const text = name.name.toString("latin1");
    const inner = path === "" ? text : `${path}/${text}`;
    const source = Buffer.from(`${entry}/${inner}`, "latin1");
    const directory = below.directory(path);
    if (typeof directory === "string") {
      counts.left += 1;
      continue;
    }
    const target = entryIn(directory, text);
    if (name.isDirectory()) {
      const { mode } = await lstat(source);
      const made = await mkdir(target).then(
        () => true,
        (error: unknown) => {
          if (!isCode(error, "EEXIST")) throw error;
          return false;
        },
      );
      if (made) counts.restored += 1;
      await restoreDirectory(below, { entry, path: inner, counts, onLine });
      const opened = made ? below.directory(inner) : "missing";
      if (typeof opened !== "string") await chmod(pathOfOpen(opened), mode & 0o7777);
    } else if (await putBack({ from: source, to: target })) {
      counts.restored += 1;
      onLine(`brought back ${escapePath(inner)}`);
    } else {
      counts.left += 1;
      onLine(`${escapePath(inner)} stays in ${entry}: something has its name`);
    }
  }
  await rmdir(from).catch((error: unknown) => {
    if (!isCode(error, "ENOTEMPTY")) throw error;
  });
}

const begunSchema = z.object({ undo: z.uuid(), entry: z.string() });

/**
 * The entry of the quarantine that an undo brings back: the latest, or, where this undo was begun before
 * and ended in between, the same as then. Null where there is none.
 */
export async function entryToUndo({
  stateDir,
  quarantine,
  project,
  undo,
}: {
  stateDir: string;
  quarantine: string;
  project: string;
  undo: string;
}): Promise<string | null> {
  const path = join(stateDir, "undo", `${project}.json`);
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (!isCode(error, "ENOENT")) throw error;
    return null;
  });
  const begun = text === null ? null : begunSchema.parse(JSON.parse(text));
  if (begun?.undo === undo) return begun.entry;
  const entry = await latestEntry({ quarantine, project });
  if (entry === null) return null;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFileAtomically({ path, text: JSON.stringify({ undo, entry }), mode: 0o600 });
  return entry;
}

/**
 * Brings back what an entry of the quarantine holds; what has a name again is not touched. Ended at any
 * moment, it can be begun again; of one that is gone nothing was left.
 */
export async function undoDeletions({
  entry,
  destination,
  onLine,
}: {
  entry: string;
  /** The project's place, resolved. */
  destination: string;
  onLine: (line: string) => void;
}): Promise<Counts> {
  const counts = { restored: 0, left: 0 };
  if ((await lstat(entry).catch(() => null)) === null) return counts;
  const below = openBelow({ root: destination });
  try {
    await restoreDirectory(below, { entry, path: "", counts, onLine });
  } finally {
    below.close();
  }
  if (counts.left > 0) await markUndone({ entry });
  return counts;
}
