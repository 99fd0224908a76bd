import { type Change } from "../rsync/itemize.ts";

// "/" sorts before every other character, so that a directory's content follows it at once, and the end
// of a path before that. Neither character stands in a path: rsync escapes them.
const separator = "\u0002";
const endOfPath = "\u0001";

type State = "deleted" | "directory" | "other" | "leader" | "new directory";
const states: State[] = ["deleted", "directory", "other", "leader", "new directory"];

const record = (path: string, sequence: number, state: State) =>
  `${path.replaceAll("/", separator)}${endOfPath}${String(sequence).padStart(12, "0")}${states.indexOf(state)}`;

/** A change as text that sorts by path, then by `sequence`; a hard link's leader is one of its own. */
export function recordsOf(change: Change, { sequence }: { sequence: number }): string[] {
  if (change.kind === "deleted") return [record(change.path, sequence, "deleted")];
  const directory = change.created ? "new directory" : "directory";
  return [
    record(change.path, sequence, change.directory ? directory : "other"),
    ...(change.leader === null ? [] : [record(change.leader, sequence, "leader")]),
  ];
}

function parseRecord(text: string): { path: string; state: State } {
  const end = text.indexOf(endOfPath);
  return {
    path: text.slice(0, end).replaceAll(separator, "/"),
    state: states[Number(text.at(-1))]!,
  };
}

/**
 * Each path once, with its last state, and whether it was a directory before the first; the state of a
 * leader is "leader" only where nothing else is known of it.
 */
async function* lastStates(sorted: AsyncIterable<string>) {
  let last: { path: string; state: State; before: boolean } | null = null;
  for await (const text of sorted) {
    const next = parseRecord(text);
    if (last?.path === next.path) {
      if (next.state !== "leader") last.state = next.state;
      continue;
    }
    if (last) yield last;
    last = { ...next, before: next.state === "directory" };
  }
  if (last) yield last;
}

const isBelow = (path: string, directory: string) => path.startsWith(`${directory}/`);

/** The directories above a path, from the top; first the root, ".". */
function ancestorsOf(path: string): string[] {
  const found = ["."];
  for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1))
    found.push(path.slice(0, at));
  return found;
}

/** Answers the paths that were not named before; `path` and its directories come in the order of the records. */
function withoutKnown() {
  let last: string | null = null;
  return (paths: string[]) => {
    const fresh = paths.filter(
      (path) => last === null || (path !== "." && path !== last && !isBelow(last, path)),
    );
    last = paths.at(-1)!;
    return fresh;
  };
}

/** What a host asks its master for, or takes away. */
export type Wanted = {
  /**
   * `payload`: what changed, the leaders of hard links, and the directories above them and above what
   * was deleted. `indexes`: the same of what comes after that. `deleted`: each entry that was deleted.
   * `replaced`: each entry that was deleted in a directory that has become something else.
   */
  list: "payload" | "indexes" | "deleted" | "replaced";
  path: string;
  /** A directory that was there before all of the changes: the host must have it. */
  known?: boolean;
};

/**
 * Folds the records of some generations, sorted, into what a host has to do; nothing is asked for below
 * a path that has become no directory. Holds one path at a time.
 */
export async function* foldSorted(
  sorted: AsyncIterable<string>,
  { isIndex }: { isIndex: (path: string) => boolean },
): AsyncGenerator<Wanted> {
  const fresh = { payload: withoutKnown(), indexes: withoutKnown() };
  let gone: { path: string; list: "deleted" | "replaced" } | null = null;
  for await (const { path, state, before } of lastStates(sorted)) {
    if (gone !== null && isBelow(path, gone.path)) {
      if (state === "deleted") yield { list: gone.list, path };
      continue;
    }
    gone = null;
    const above = path === "." ? [] : ancestorsOf(path);
    if (state === "deleted") {
      gone = { path, list: "deleted" };
      yield { list: "deleted", path };
      for (const each of fresh.payload(above)) yield { list: "payload", path: each, known: true };
    } else {
      if (state === "other") gone = { path, list: "replaced" };
      const list = isIndex(path) ? "indexes" : "payload";
      for (const each of fresh[list]([...above, path]))
        yield { list, path: each, known: each !== path || (before && state !== "other") };
    }
  }
}
