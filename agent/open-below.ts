import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** Of open(2); the same on x86-64 and arm64. It needs no right to read the directory. */
const O_PATH = 0o10000000;
const flags = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** The path of an open directory itself: whatever is renamed above it, it is this one (proc(5)). */
export const pathOfOpen = (directory: FileHandle) => `/proc/self/fd/${directory.fd}`;

/** The path of an entry in an open directory; names are bytes, as latin1. */
export const entryIn = (directory: FileHandle, name: string): Buffer =>
  Buffer.from(`${pathOfOpen(directory)}/${name}`, "latin1");

/** Directories below a root, each opened without following a symlink. */
export type Below = {
  /**
   * Opens a directory, "" for the root, until the next is asked for; where there is none, answers
   * whether that is for something else at its place or above it.
   */
  directory: (path: string) => Promise<FileHandle | "missing" | "something else">;
  close: () => Promise<void>;
};

/** Opens a tree for changes below `root` and nowhere else. Of paths in order, what they share stays open. */
export async function openBelow({ root }: { root: string }): Promise<Below> {
  const top = await open(root, flags);
  let levels: { name: string; handle: FileHandle }[] = [];
  const shrink = async (length: number) => {
    const closing = levels.slice(length);
    levels = levels.slice(0, length);
    for (const { handle } of closing) await handle.close();
  };
  return {
    directory: async (path) => {
      const names = path === "" ? [] : path.split("/");
      if (names.some((name) => name === "" || name === "." || name === ".."))
        throw new Error(`${JSON.stringify(path)} does not lead below a directory`);
      const shared = levels.findIndex(({ name }, at) => name !== names[at]);
      await shrink(shared === -1 ? Math.min(levels.length, names.length) : shared);
      for (const name of names.slice(levels.length)) {
        const parent = levels.at(-1)?.handle ?? top;
        const handle = await open(entryIn(parent, name), flags).catch(
          (error: NodeJS.ErrnoException) => {
            if (error.code === "ENOENT") return "missing";
            if (error.code === "ENOTDIR" || error.code === "ELOOP") return "something else";
            throw error;
          },
        );
        if (typeof handle === "string") return handle;
        levels.push({ name, handle });
      }
      return levels.at(-1)?.handle ?? top;
    },
    close: async () => {
      await shrink(0);
      await top.close();
    },
  };
}
