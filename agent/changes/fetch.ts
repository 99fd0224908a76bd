import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { execa } from "execa";
import ignore from "ignore";
import type { Carry } from "../../protocol/order.ts";
import {
  changeListsModule,
  formatRsyncUrl,
  type RsyncOptions,
  type Source,
} from "../../protocol/rsync.ts";
import { indexPatterns } from "../rsync/indexes.ts";
import { parseChange, unescapePath } from "../rsync/itemize.ts";
import type { RsyncExit } from "../rsync/spawn.ts";
import { foldSorted, recordsOf } from "./fold.ts";

/** Why lists cannot be used; the whole tree is scanned then. */
export class ListsUnusable extends Error {}

type Lists = NonNullable<Carry["lists"]>;
type RunRsync = (argv: string[]) => Promise<RsyncExit>;

/** Fetches lists from the master into `directory`. @throws ListsUnusable for one that is not there, or not as it was published. */
export async function fetchLists({
  lists,
  project,
  source,
  directory,
  run,
}: {
  lists: Lists;
  project: string;
  source: Source;
  directory: string;
  run: RunRsync;
}): Promise<void> {
  const names = join(directory, "names");
  await writeFile(names, lists.map(({ generation }) => `${generation}\n`).join(""));
  const from = formatRsyncUrl({ ...source, module: changeListsModule, path: project });
  const exit = await run([
    `--files-from=${names}`,
    "--times",
    "--sockopts=TCP_NODELAY",
    "--",
    from,
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

/** The records of all lists, in their order. */
async function* readRecords({ lists, directory }: { lists: Lists; directory: string }) {
  let sequence = 0;
  for (const { generation } of lists) {
    const input = createReadStream(join(directory, String(generation)), "latin1");
    for await (const line of createInterface({ input })) {
      const tab = line.indexOf("\t");
      const change = parseChange(line.slice(tab + 1));
      if (!change)
        throw new ListsUnusable(
          `change list ${generation} has a line that is none: ${line.slice(0, 200)}`,
        );
      const prefix = line.slice(0, tab);
      const below = (path: string) =>
        prefix === "" ? path : path === "." ? prefix : `${prefix}/${path}`;
      const moved =
        change.kind === "deleted"
          ? { ...change, path: below(change.path) }
          : {
              ...change,
              path: below(change.path),
              leader: change.leader === null ? null : below(change.leader),
            };
      for (const each of recordsOf(moved, { sequence })) yield `${each}\0`;
      sequence += 1;
    }
  }
}

/** Splits a stream into the texts that end with NUL; bytes as latin1. */
export async function* splitAtNul(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of chunks) {
    const parts = (rest + chunk.toString("latin1")).split("\0");
    rest = parts.pop()!;
    yield* parts;
  }
}

/** Sorts records bytewise, in bounded memory: sort(1) spills to `directory`. */
async function* sorted(records: AsyncIterable<string>, { directory }: { directory: string }) {
  const child = execa(
    "sort",
    ["--zero-terminated", "--buffer-size=16M", `--temporary-directory=${directory}`],
    {
      env: { LC_ALL: "C" },
      buffer: false,
      encoding: "buffer",
      reject: false,
    },
  );
  const fed = pipeline(records, child.stdin).catch((error: unknown) => {
    child.kill();
    return error;
  });
  yield* splitAtNul(child.stdout);
  const error = await fed;
  if (error instanceof Error) throw error;
  const { exitCode } = await child;
  if (exitCode !== 0) throw new ListsUnusable(`sort(1) ended with ${exitCode}`);
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

/** Files of NUL-terminated paths for `--files-from`, with the number of paths in each. */
export type PathFiles = Record<
  "payload" | "indexes" | "deleted" | "above",
  { path: string; paths: number }
> & {
  /** Entries that the lists say were deleted: no more may be. */
  deletions: number;
};

/** Folds fetched lists into what rsync has to be asked for. @throws ListsUnusable. */
export async function writePathFiles({
  lists,
  directory,
  options,
}: {
  lists: Lists;
  directory: string;
  options: RsyncOptions;
}): Promise<PathFiles> {
  const names = ["payload", "indexes", "deleted", "above"] as const;
  const streams = Object.fromEntries(
    names.map((name) => [name, createWriteStream(join(directory, name))]),
  );
  const files = Object.fromEntries(
    names.map((name) => [name, { path: join(directory, name), paths: 0 }]),
  ) as Omit<PathFiles, "deletions">;
  let deletions = 0;
  const records = sorted(readRecords({ lists, directory }), { directory });
  for await (const { list, path } of foldSorted(records, { isIndex: indexMatcher(options) })) {
    if (list === "counted" || list === "deleted") deletions += 1;
    if (list === "counted") continue;
    files[list].paths += 1;
    const stream = streams[list]!;
    if (!stream.write(Buffer.from(`${unescapePath(path)}\0`, "latin1")))
      await once(stream, "drain");
  }
  for (const stream of Object.values(streams)) await pipeline([], stream);
  return { ...files, deletions };
}
