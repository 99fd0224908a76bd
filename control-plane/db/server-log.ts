import { constants } from "node:fs";
import { open, rename } from "node:fs/promises";
import { isThere, readIfThere } from "./files.ts";

/** Opens an empty log (0600) and keeps the previous one as `.1`. The caller closes it. */
export async function openServerLog({ path }: { path: string }) {
  if (await isThere(path)) await rename(path, `${path}.1`);
  const { O_CREAT, O_EXCL, O_APPEND, O_WRONLY, O_NOFOLLOW } = constants;
  return open(path, O_CREAT | O_EXCL | O_APPEND | O_WRONLY | O_NOFOLLOW, 0o600);
}

/** The last lines of the log, for an error message. */
export async function lastLines({ path, count = 15 }: { path: string; count?: number }) {
  const text = (await readIfThere(path))?.trimEnd() || "(the server wrote no log)";
  return text.split("\n").slice(-count).join("\n");
}
