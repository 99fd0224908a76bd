import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Where rsync keeps files until all have arrived (`--delay-updates`). */
export const stagingName = ".~tmp~";

/** Is it a name that rsync gives to a file that is coming in? Others may have it, too. */
export const isIncoming = (path: string): boolean => /(^|\/)\.[^/]+\.[A-Za-z0-9]{6}$/.test(path);

const markOf = ({ stateDir, project }: { stateDir: string; project: string }) =>
  join(stateDir, "unfinished", project);

/**
 * Notes that rsyncs of a project begin. Answers how those before ended: "failed" ones may have left staged
 * files, "killed" ones also half a file beside its place; null: well.
 */
export async function noteBegin(key: {
  stateDir: string;
  project: string;
}): Promise<"failed" | "killed" | null> {
  const mark = markOf(key);
  const left = await readFile(mark, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return null;
  });
  await mkdir(dirname(mark), { recursive: true, mode: 0o700 });
  // Until they say otherwise, they were killed.
  if (left !== "killed") await writeFile(mark, "killed");
  return left === null ? null : left === "failed" ? "failed" : "killed";
}

/** Notes that they have failed, each by itself. */
export async function noteFailure(key: { stateDir: string; project: string }): Promise<void> {
  await writeFile(markOf(key), "failed");
}

/** Notes that they have ended well. */
export async function noteEnd(key: { stateDir: string; project: string }): Promise<void> {
  await rm(markOf(key), { force: true });
}

/** Removes from a tree on which no rsync works what killed ones left of files that never came. */
export async function removeStaging({ destination }: { destination: string }): Promise<void> {
  const directories: Buffer[] = [Buffer.from(destination)];
  for (let at = directories.pop(); at !== undefined; at = directories.pop()) {
    for (const entry of await readdir(at, { withFileTypes: true, encoding: "buffer" })) {
      if (!entry.isDirectory()) continue;
      const path = Buffer.concat([at, Buffer.from("/"), entry.name]);
      if (entry.name.toString("latin1") === stagingName) {
        // The directory's times are the source's: they stay.
        const { atime, mtime } = await stat(at);
        await rm(path, { recursive: true });
        await utimes(at, atime, mtime);
      } else directories.push(path);
    }
  }
}
