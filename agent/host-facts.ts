import type { StatsFs } from "node:fs";
import { statfs } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import type { HostFacts } from "../protocol/fleet.ts";
import type { Config } from "./config.ts";

const lookEveryMilliseconds = 60_000;
/** Looks after which rsync is asked again: it may have been upgraded. */
const looksAtRsync = 60;
const patienceMilliseconds = 3000;
/** Looks at mounts that hang hold a thread each, of four. */
const mostHanging = 2;

/** What `rsync --version` says; null where it does not run. */
async function rsyncVersion({ rsync }: Pick<Config, "rsync">): Promise<string | null> {
  const { stdout } = await execa(rsync, ["--version"], { reject: false, timeout: 10_000 });
  return /version v?(\d[\w.+-]{0,40})/.exec(stdout ?? "")?.[1] ?? null;
}

/**
 * Room in a file system, as statfs says; null where its size is no number that can be meant. Some say of
 * their inodes that there are 2^64 - 1: those have no fixed number.
 */
export function roomIn(
  path: string,
  { bsize, blocks, bavail, files, ffree }: Omit<StatsFs, "type" | "bfree" | "frsize">,
): HostFacts["roots"][number] | null {
  const [totalBytes, freeBytes] = [blocks * bsize, bavail * bsize];
  if (![totalBytes, freeBytes].every(Number.isSafeInteger)) return null;
  const counted = [files, ffree].every(Number.isSafeInteger);
  return {
    path,
    totalBytes,
    freeBytes,
    totalInodes: counted ? files : 0,
    freeInodes: counted ? ffree : 0,
  };
}

/** What this host says of its machine. */
export type HostFactsWatch = {
  /** What was looked up last; null: nothing yet. */
  latest: () => HostFacts | null;
  stop: () => void;
};

/**
 * Looks up the machine's facts now and every minute, beside everything else: a mount that hangs keeps its
 * facts away, and nothing but those. Waits for the first, for at most three seconds.
 */
export async function watchHostFacts({
  rsync,
  mirrorRoots,
  quarantines,
  quarantineDays: days,
}: Pick<Config, "rsync" | "quarantines" | "quarantineDays"> & {
  mirrorRoots: string[];
}): Promise<HostFactsWatch> {
  const quarantineDays = quarantines === null ? 0 : days;
  let facts: HostFacts | null = null;
  const hanging = new Set<string>();
  const lookAt = (path: string) => {
    if (hanging.has(path) || hanging.size >= mostHanging) return null;
    hanging.add(path);
    const room = statfs(path)
      .then((found) => roomIn(path, found))
      .catch(() => null)
      .finally(() => hanging.delete(path));
    return Promise.race([room, sleep(patienceMilliseconds, null, { ref: false })]);
  };
  let version: string | null = null;
  let looks = 0;
  const look = async () => {
    if (looks++ % looksAtRsync === 0) version = await rsyncVersion({ rsync });
    const roots: HostFacts["roots"] = [];
    for (const path of mirrorRoots) {
      const room = await lookAt(path);
      if (room) roots.push(room);
    }
    facts = { rsyncVersion: version, roots, quarantineDays };
  };
  const timer = setInterval(() => void look(), lookEveryMilliseconds);
  await look();
  return { latest: () => facts, stop: () => clearInterval(timer) };
}
