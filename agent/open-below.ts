import { closeSync, constants, fstatSync, openSync, utimesSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";

// What is done here for each of thousands of entries does not wait for Node's thread pool: a system call
// takes a few microseconds, the way there and back up to forty. `turns` lets others have the thread.

/** Of open(2); the same on x86-64 and arm64. It needs no right to read the directory. */
const O_PATH = 0o10000000;
const flags = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** An open directory: its file descriptor. */
export type Directory = number;

/** The path of an open directory itself: whatever is renamed above it, it is this one (proc(5)). */
export const pathOfOpen = (directory: Directory) => `/proc/self/fd/${directory}`;

/** The path of an entry in an open directory; names are bytes, as latin1. */
export const entryIn = (directory: Directory, name: string): Buffer =>
  Buffer.from(`${pathOfOpen(directory)}/${name}`, "latin1");

const millisecondsAtATime = 10;

/** For between two entries: waits, when ten milliseconds have gone by, until others have had their turn. */
export function turns(): () => Promise<void> | undefined {
  let began = performance.now();
  return () => {
    if (performance.now() - began < millisecondsAtATime) return undefined;
    return turn().then(() => {
      began = performance.now();
    });
  };
}

/**
 * A time as utimes() takes it: cut off, for rounded up it could become one of the next second. After the
 * microsecond, or the millisecond for a time before 1970: a negative number means now.
 */
const timeOf = (nanoseconds: bigint) =>
  nanoseconds < 0n
    ? new Date(Math.floor(Number(nanoseconds / 1000n) / 1000))
    : Number(nanoseconds / 1000n) / 1e6;

/**
 * Notes the times of an open directory; answers what gives it them again. They are the source's: changed by
 * what is done in it, they would be a difference that the next scan finds.
 */
export function noteTimes(directory: Directory): () => void {
  const { atimeNs, mtimeNs } = fstatSync(directory, { bigint: true });
  return () => utimesSync(pathOfOpen(directory), timeOf(atimeNs), timeOf(mtimeNs));
}

/** Directories below a root, each opened without following a symlink. */
export type Below = {
  /**
   * Opens a directory, "" for the root, until the next is asked for; where there is none, answers
   * whether that is for something else at its place or above it.
   */
  directory: (path: string) => Directory | "missing" | "something else";
  close: () => void;
};

function openDirectory(path: string | Buffer): Directory | "missing" | "something else" {
  try {
    return openSync(path, flags);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return "missing";
    if (code === "ENOTDIR" || code === "ELOOP") return "something else";
    throw error;
  }
}

/** Opens a tree for changes below `root` and nowhere else. Of paths in order, what they share stays open. */
export function openBelow({ root }: { root: string }): Below {
  const top = openSync(root, flags);
  let levels: { name: string; directory: Directory }[] = [];
  const shrink = (length: number) => {
    const closing = levels.slice(length);
    levels = levels.slice(0, length);
    for (const { directory } of closing) closeSync(directory);
  };
  return {
    directory: (path) => {
      const names = path === "" ? [] : path.split("/");
      if (names.some((name) => name === "" || name === "." || name === ".."))
        throw new Error(`${JSON.stringify(path)} does not lead below a directory`);
      const shared = levels.findIndex(({ name }, at) => name !== names[at]);
      shrink(shared === -1 ? Math.min(levels.length, names.length) : shared);
      for (const name of names.slice(levels.length)) {
        const directory = openDirectory(entryIn(levels.at(-1)?.directory ?? top, name));
        if (typeof directory === "string") return directory;
        levels.push({ name, directory });
      }
      return levels.at(-1)?.directory ?? top;
    },
    close: () => {
      shrink(0);
      closeSync(top);
    },
  };
}
