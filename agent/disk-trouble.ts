import { statfs } from "node:fs/promises";

/** A directory that the agent writes to, and what it is for people. */
export type Writable = { name: string; path: string };

/** How the directory with the agent's spool is called. */
export const stateDirectory = "the agent's state directory";

const byCode: Record<string, { what: string; cure: string }> = {
  ENOSPC: { what: "is full", cure: "make room there (df and df -i say of what)" },
  EDQUOT: { what: "is over its quota", cure: "raise the quota, or make room there" },
  EROFS: {
    what: "is read-only",
    cure: "mount it writable, or name it in ReadWritePaths= (systemctl edit mirrorfleet-agent)",
  },
};

/** What is wrong with a directory that took nothing, and what to do; `null`: it is not its disk. */
export function troubleWith({ name, path }: Writable, error: NodeJS.ErrnoException): string | null {
  const words = byCode[error.code ?? ""];
  return words ? `${name} ${path} ${words.what} (${error.code}): ${words.cure}` : null;
}

async function freeBytes({ path }: Writable): Promise<number> {
  const { bavail, bsize, ffree, files } = await statfs(path);
  return files > 0 && ffree === 0 ? 0 : bavail * bsize;
}

/** The one that an error is about: where the system named no path, as of a write, the one with the least room. */
async function directoryOf(
  { path }: NodeJS.ErrnoException,
  writables: Writable[],
): Promise<Writable | undefined> {
  if (path !== undefined) {
    const holding = writables.filter((each) => `${path}/`.startsWith(`${each.path}/`));
    return holding.toSorted((one, other) => other.path.length - one.path.length)[0];
  }
  let least: { writable: Writable; free: number } | undefined;
  for (const writable of writables) {
    const free = await freeBytes(writable).catch(() => Number.POSITIVE_INFINITY);
    if (least === undefined || free < least.free) least = { writable, free };
  }
  return least?.writable;
}

/** Says which directory is full or cannot be written, and what to do; `null`: the error is of another kind. */
export async function diskTrouble(error: unknown, writables: Writable[]): Promise<string | null> {
  const known = error as NodeJS.ErrnoException;
  if (!(error instanceof Error) || byCode[known.code ?? ""] === undefined) return null;
  const directory = await directoryOf(known, writables);
  return directory ? troubleWith(directory, known) : null;
}
