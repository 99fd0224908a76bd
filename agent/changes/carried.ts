import { mkdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { syncDirectory, writeFileAtomically } from "../files.ts";

const carriedSchema = z.object({ generation: z.int(), place: z.string() });

const fileOf = ({ stateDir, project }: { stateDir: string; project: string }) =>
  join(stateDir, "carried", `${project}.json`);

/** Tells a tree on disk from another that lies at the same path: a restored one, or that of a new disk. */
export async function placeOf({ destinations }: { destinations: string[] }): Promise<string> {
  const places = await Promise.all(
    destinations.map(async (path) => {
      const found = await stat(path).catch(() => null);
      return `${path} ${found?.ino ?? "missing"}`;
    }),
  );
  return places.join("\n");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The generation that this host's tree of a project is known to be; null where nothing is known. */
export async function recallCarried(key: {
  stateDir: string;
  project: string;
  place: string;
}): Promise<number | null> {
  const text = await readFile(fileOf(key), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return null;
  });
  const known = carriedSchema.safeParse(text === null ? null : parseJson(text));
  return known.success && known.data.place === key.place ? known.data.generation : null;
}

/** Remembers, durably, what generation this host's tree of a project is. */
export async function rememberCarried({
  generation,
  place,
  ...key
}: {
  stateDir: string;
  project: string;
  place: string;
  generation: number;
}): Promise<void> {
  const path = fileOf(key);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFileAtomically({ path, text: JSON.stringify({ generation, place }), mode: 0o600 });
}

const bootFile = (stateDir: string) => join(stateDir, "boot");

/**
 * Notes that the agent runs in this boot of the machine. Where the one before ended without `noteStop`,
 * as after a power failure, what the trees are is forgotten: rsync does not wait for the disk. True then.
 */
export async function noteStart({
  stateDir,
  bootId,
}: {
  stateDir: string;
  bootId: string;
}): Promise<boolean> {
  const path = bootFile(stateDir);
  const before = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return "";
  });
  const crashed = before !== "" && before !== bootId;
  if (crashed) await rm(join(stateDir, "carried"), { recursive: true, force: true });
  await writeFileAtomically({ path, text: bootId, mode: 0o600 });
  return crashed;
}

/** Notes that the agent ends in order: the system writes its disks before it goes down. */
export async function noteStop({ stateDir }: { stateDir: string }): Promise<void> {
  await rm(bootFile(stateDir), { force: true });
}

/** Forgets what generation this host's tree is: the next sync compares the whole tree. */
export async function forgetCarried(key: { stateDir: string; project: string }): Promise<void> {
  await rm(fileOf(key), { force: true });
  await syncDirectory(dirname(fileOf(key))).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
}
