import { lstat, readFile, stat } from "node:fs/promises";

/** Answers what `read` does, or undefined where the file is not there. */
async function unlessMissing<Value>(read: Promise<Value>): Promise<Value | undefined> {
  try {
    return await read;
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) {
      return undefined;
    }
    throw error;
  }
}

/** Describes a path, not following a link at its end; undefined where there is none. */
export const statIfThere = (path: string) => unlessMissing(lstat(path));

/** Describes what a path leads to, following links; undefined where that is not there. */
export const targetIfThere = (path: string) => unlessMissing(stat(path));

/** Reads a text file; undefined where there is none (or its process has gone, under /proc). */
export const readIfThere = (path: string) => unlessMissing(readFile(path, "utf8"));

/** Whether the path exists, be it only a dangling link. */
export const isThere = async (path: string) => (await statIfThere(path)) !== undefined;
