import { statfs } from "node:fs/promises";

const lookEveryMilliseconds = 5000;

/** Says why a file system has too little room; null where it has enough. `minFreePercent` of space and of inodes. */
export async function whyNoRoom({
  root,
  minFreePercent,
}: {
  root: string;
  minFreePercent: number;
}): Promise<string | null> {
  const { bavail, blocks, bsize, ffree, files } = await statfs(root);
  const share = (free: number, all: number) => (all === 0 ? 100 : (free / all) * 100);
  const gigabytes = ((bavail * bsize) / 1e9).toFixed(1);
  const cure = `make room, or set MIRRORFLEET_MIN_FREE_PERCENT (${minFreePercent}) lower`;
  if (share(bavail, blocks) < minFreePercent)
    return `${root} has only ${gigabytes} GB (${share(bavail, blocks).toFixed(1)} %) free: ${cure}`;
  // Some file systems have no fixed number of inodes, and say 0.
  if (share(ffree, files) < minFreePercent)
    return `${root} has only ${ffree} inodes (${share(ffree, files).toFixed(1)} %) free: ${cure}`;
  return null;
}

/** Watches the room while something runs; `full` is aborted with the reason when it gets too little. */
export function watchRoom(limits: { root: string; minFreePercent: number }): {
  full: AbortSignal;
  stop: () => void;
} {
  const full = new AbortController();
  const look = async () => {
    const why = await whyNoRoom(limits);
    if (why !== null) full.abort(why);
  };
  const timer = setInterval(() => {
    look().catch((error: unknown) => full.abort(`${limits.root}: ${(error as Error).message}`));
  }, lookEveryMilliseconds);
  return { full: full.signal, stop: () => clearInterval(timer) };
}
