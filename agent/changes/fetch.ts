import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import ignore from "ignore";
import type { Carry } from "../../protocol/order.ts";
import { changeListsModule, type RsyncOptions, type Source } from "../../protocol/rsync.ts";
import { type Connection, connectionArgs } from "../rsync/connection.ts";
import { moduleOf, prefixOf } from "../rsync/listed.ts";
import { indexPatterns } from "../rsync/indexes.ts";
import { type Change, parseChange, unescapePath } from "../rsync/itemize.ts";
import type { RsyncExit } from "../rsync/spawn.ts";
import { foldSorted, recordsOf } from "./fold.ts";
import { sorted } from "./sorted.ts";
import { ListsUnusable } from "./unusable.ts";

type Lists = NonNullable<Carry["lists"]>;
type RunRsync = (argv: string[]) => Promise<RsyncExit>;

/** Fetches lists from the master into `directory`. @throws ListsUnusable for one that is not there, or not as it was published. */
export async function fetchLists({
  lists,
  project,
  connection,
  directory,
  run,
}: {
  lists: Lists;
  project: string;
  /** To the project's tree; lists are in a module beside it. */
  connection: Connection;
  directory: string;
  run: RunRsync;
}): Promise<void> {
  const from = { ...connection.source, module: changeListsModule, path: project };
  const names = join(directory, "names");
  const below = prefixOf(from);
  await writeFile(names, lists.map(({ generation }) => `${below}${generation}\n`).join(""));
  const exit = await run([
    `--files-from=${names}`,
    "--times",
    ...connectionArgs(connection),
    "--",
    moduleOf(from),
    `${directory}/`,
  ]);
  if (exit.exitCode !== 0)
    throw new ListsUnusable(`the change lists cannot be fetched (rsync ${exit.exitCode})`);
  for (const { generation, digest } of lists) {
    const hash = createHash("sha256");
    await pipeline(createReadStream(join(directory, String(generation))), hash);
    if (hash.digest("hex") !== digest)
      throw new ListsUnusable(`change list ${generation} is not the one that was published`);
  }
}

/** Does a path lead into the tree, and nowhere else? A master that was broken into may write anything. */
const isInside = (path: string) =>
  path === "." ||
  unescapePath(path)
    .split("/")
    .every((name) => !["", ".", ".."].includes(name));

/** Reads a line of a list: a change of a path in the project. Null for what is none. */
function readLine(line: string): Change | null {
  const tab = line.indexOf("\t");
  const change = parseChange(line.slice(tab + 1));
  if (!change) return null;
  const prefix = line.slice(0, tab);
  const below = (path: string) =>
    prefix === "" ? path : path === "." ? prefix : `${prefix}/${path}`;
  const path = below(change.path);
  if (!isInside(path)) return null;
  if (change.kind === "deleted") return path === "." ? null : { ...change, path };
  const leader = change.leader === null ? null : below(change.leader);
  return leader === null || isInside(leader) ? { ...change, path, leader } : null;
}

/** Characters that are written at a time: each write has a price of its own. */
const portion = 65_536;

/** The records of all lists, in their order, many at a time; NUL after each. */
async function* readRecords(
  { lists, directory }: { lists: Lists; directory: string },
  onChange: (change: Change) => void,
) {
  let sequence = 0;
  let text = "";
  for (const { generation } of lists) {
    const input = createReadStream(join(directory, String(generation)), "latin1");
    for await (const line of createInterface({ input })) {
      const change = readLine(line);
      if (!change)
        throw new ListsUnusable(
          `change list ${generation} has a line that is none: ${line.slice(0, 200)}`,
        );
      onChange(change);
      for (const each of recordsOf(change, { sequence })) text += `${each}\0`;
      sequence += 1;
      if (text.length < portion) continue;
      yield text;
      text = "";
    }
  }
  yield text;
}

/** Which paths come last. rsync's patterns are git's, but that one without a leading "/" matches at any depth. */
function indexMatcher(options: RsyncOptions): (path: string) => boolean {
  const patterns = indexPatterns(options);
  if (patterns.length === 0) return () => false;
  const matcher = ignore().add(
    patterns.map((pattern) => (pattern.startsWith("/") ? pattern : `**/${pattern}`)),
  );
  return (path) => path !== "." && matcher.ignores(unescapePath(path));
}

const names = ["payload", "indexes", "deleted", "replaced", "known"] as const;
/** What the source is asked for; the others are looked for in the destination. */
const asked = new Set<(typeof names)[number]>(["payload", "indexes"]);

/** Files of NUL-terminated paths, with the number of paths in each. `top`: the tree's top directory changes, too. */
export type PathFiles = Record<(typeof names)[number], { path: string; paths: number }> & {
  top: boolean;
};

/** Does a change alter the times of the tree's top directory, or say that they are others? */
const altersTop = (change: Change): boolean =>
  change.path === "." ||
  (!change.path.includes("/") &&
    (change.kind === "deleted" || !change.directory || change.created));

/** Opens a file to which paths are added, bytes as latin1. */
async function openPathFile(path: string) {
  const handle = await open(path, "w");
  let text = "";
  let paths = 0;
  const flush = () => {
    const full = text;
    text = "";
    return handle.appendFile(full, "latin1");
  };
  return {
    /** Answers something to wait for where that is due. */
    add: (each: string): Promise<void> | undefined => {
      text += `${each}\0`;
      paths += 1;
      return text.length < portion ? undefined : flush();
    },
    end: async () => {
      await flush();
      return { path, paths };
    },
    close: () => handle.close(),
  };
}

/** Folds fetched lists into what rsync has to be asked for, and what has to go. @throws ListsUnusable. */
export async function writePathFiles({
  lists,
  directory,
  source,
  options,
}: {
  lists: Lists;
  directory: string;
  source: Source;
  options: RsyncOptions;
}): Promise<PathFiles> {
  const files = {} as Record<(typeof names)[number], Awaited<ReturnType<typeof openPathFile>>>;
  const prefix = prefixOf(source);
  try {
    for (const name of names) files[name] = await openPathFile(join(directory, name));
    let top = false;
    const read = readRecords({ lists, directory }, (change) => {
      top ||= altersTop(change);
    });
    const records = sorted(read, { directory });
    const wanted = foldSorted(records, { isIndex: indexMatcher(options) });
    for await (const { list, path, known } of wanted) {
      // Not by a list, which would bring all that lies in it: by itself, in the end.
      if (path === ".") continue;
      const bytes = unescapePath(path);
      await files[list].add(asked.has(list) ? `${prefix}${bytes}` : bytes);
      if (known) await files.known.add(bytes);
    }
    const done = { top } as PathFiles;
    for (const name of names) done[name] = await files[name].end();
    return done;
  } finally {
    for (const file of Object.values(files)) await file.close();
  }
}

/** The paths of a file of `writePathFiles`, what is in a directory before the directory. */
export const contentsFirst = ({ path, directory }: { path: string; directory: string }) =>
  sorted(createReadStream(path), { directory, reverse: true });
