import { mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Where rsync keeps files until all have arrived (`--delay-updates`). */
const stagingName = ".~tmp~";

const markOf = ({ stateDir, project }: { stateDir: string; project: string }) =>
  join(stateDir, "unfinished", project);

/** Notes that rsyncs of a project begin. True where those before have not ended well: they may have left files. */
export async function noteBegin(key: { stateDir: string; project: string }): Promise<boolean> {
  const mark = markOf(key);
  const left = (await stat(mark).catch(() => null)) !== null;
  await mkdir(dirname(mark), { recursive: true, mode: 0o700 });
  await writeFile(mark, "");
  return left;
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
      if (entry.name.toString("latin1") === stagingName) await rm(path, { recursive: true });
      else directories.push(path);
    }
  }
}
