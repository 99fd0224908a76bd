import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { ChangeList } from "../../protocol/report.ts";
import { syncDirectory, writeFileAtomically } from "../files.ts";

/** Bytes of a change list; beyond them hosts scan. */
const maxListBytes = 64 * 1024 * 1024;
/** Lists of a project that are kept. */
const keptLists = 100;

/** Directory of all change lists, which the master's rsync daemon serves. */
export const listsDirectory = (stateDir: string) => join(stateDir, "lists");

/** What the pulls of one generation change on a master, attempt after attempt. */
export type Journal = {
  /** Comes before each rsync: from here to a clean end, the list has a gap. */
  begin: () => Promise<void>;
  /** `below`: place of the rsync's destination in the project; "" is its root. */
  add: (change: { below: string; line: string }) => void;
  /** Nothing has changed since the generation before. */
  isEmpty: () => boolean;
  /** Ends what `begin` began; `clean`: the rsync told all that it did. */
  end: (input: { clean: boolean }) => Promise<void>;
  /**
   * The list as hosts may have it; null where it is empty, or something is missing in it. Then it is
   * uncertain what the hosts lack: though the last pull changed nothing, they must compare.
   */
  publish: () => Promise<{ changeList: ChangeList | null; uncertain: boolean }>;
  close: () => Promise<void>;
};

const exists = async (path: string) =>
  (await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return null;
  })) !== null;

async function listedGenerations(directory: string): Promise<number[]> {
  const names = await readdir(directory);
  return names
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .toSorted((left, right) => left - right);
}

/** Does the tree lie where the generation before left it? Not after a restore, a new disk or a new path. */
async function isContinuous(
  directory: string,
  { generation, place }: { generation: number; place: string },
): Promise<boolean> {
  const latest = (await listedGenerations(directory)).at(-1);
  const before = await readFile(join(directory, "place"), "utf8").catch(() => null);
  return before === place && (latest === generation || latest === generation - 1);
}

async function removeList(directory: string, generation: number): Promise<void> {
  await rm(join(directory, String(generation)), { force: true });
  await rm(join(directory, `${generation}.gap`), { force: true });
}

async function digestOf(path: string): Promise<{ digest: string; entries: number }> {
  const hash = createHash("sha256");
  let entries = 0;
  await pipeline(createReadStream(path), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      hash.update(chunk);
      for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) entries += 1;
    }
  });
  return { digest: hash.digest("hex"), entries };
}

/**
 * Opens the journal of the generation that a project's pulls are about to make. Every attempt appends to
 * it until one succeeds and the control plane has taken that; then the next order names the next
 * generation. `place` tells one tree on disk from another. One at a time for each project.
 */
export async function openJournal({
  stateDir,
  project,
  generation,
  place,
}: {
  stateDir: string;
  project: string;
  generation: number;
  place: string;
}): Promise<Journal> {
  const directory = join(listsDirectory(stateDir), project);
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const path = join(directory, String(generation));
  const gapMark = `${path}.gap`;
  const mark = () => writeFileAtomically({ path: gapMark, text: "", mode: 0o644 });
  let gap = await exists(gapMark);
  if (!(await isContinuous(directory, { generation, place }))) {
    await mark();
    gap = true;
    await writeFileAtomically({ path: join(directory, "place"), text: place, mode: 0o644 });
  }
  // Of a number that has been before, in a time that was rolled back.
  for (const later of await listedGenerations(directory))
    if (later > generation) await removeList(directory, later);
  const file = await open(path, "a", 0o644);
  let { size } = await file.stat();
  let written: Promise<unknown> = file.sync();
  let lines: string[] = [];
  const flush = () => {
    const text = lines.join("");
    lines = [];
    if (text !== "") written = written.then(() => file.appendFile(text, "latin1"));
    // Its error is seen by whoever awaits it next.
    written.catch(() => undefined);
  };
  return {
    begin: mark,
    add: ({ below, line }) => {
      size += below.length + line.length + 2;
      if (size > maxListBytes) return;
      lines.push(`${below}\t${line}\n`);
      if (lines.length >= 1000) flush();
    },
    isEmpty: () => size === 0,
    end: async ({ clean }) => {
      flush();
      await written;
      await file.sync();
      if (clean && !gap && size <= maxListBytes) await rm(gapMark, { force: true });
      else gap = true;
    },
    publish: async () => {
      const generations = await listedGenerations(directory);
      for (const old of generations.slice(0, -keptLists)) await removeList(directory, old);
      const uncertain = gap || size > maxListBytes;
      if (uncertain || size === 0) return { changeList: null, uncertain };
      return { changeList: { generation, ...(await digestOf(path)) }, uncertain };
    },
    close: () => file.close(),
  };
}

/** Breaks the chain of a project's lists: what a pull without a journal changes is in none of them. */
export async function forgetPlace({
  stateDir,
  project,
}: {
  stateDir: string;
  project: string;
}): Promise<void> {
  const directory = join(listsDirectory(stateDir), project);
  await mkdir(directory, { recursive: true, mode: 0o755 });
  await rm(join(directory, "place"), { force: true });
  await syncDirectory(directory);
}
