import { cp, mkdir, open, rename, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { now } from "./history.ts";

export type Disk = {
  directory: string;
  /** Takes all its space for so long: also what is freed meanwhile. */
  occupy: (input: { seconds: number }) => Promise<void>;
  /** Gives the space back. */
  clear: () => Promise<void>;
  /** Takes the disk away, with what is on it; `keep`: what is on it stays, as an ordinary directory. */
  remove: (input: { keep: boolean }) => Promise<void>;
};

const refillEveryMilliseconds = 50;

/** Appends to a file until its disk takes no further page. */
async function takeAllSpace(filler: string): Promise<void> {
  const file = await open(filler, "a");
  try {
    for (const bytes of [1 << 20, 4096])
      for (let full = false; !full;)
        await file.write(Buffer.alloc(bytes)).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== "ENOSPC") throw error;
          full = true;
        });
  } finally {
    await file.close();
  }
}

/** Mounts a small disk of memory on a directory, which it makes. @throws where the machine lets us not: root alone may. */
export async function mountDisk({
  directory,
  megabytes,
}: {
  directory: string;
  megabytes: number;
}): Promise<Disk> {
  await mkdir(directory, { recursive: true });
  const options = `size=${megabytes}m,mode=755`;
  await execa("mount", ["-t", "tmpfs", "-o", options, "mirrorfleet-chaos", directory]);
  const filler = `${directory}/filler`;
  const clear = () => rm(filler, { force: true });
  return {
    directory,
    occupy: async ({ seconds }) => {
      try {
        for (const until = now() + seconds * 1000; now() < until;) {
          await takeAllSpace(filler);
          await sleep(refillEveryMilliseconds);
        }
      } finally {
        await clear();
      }
    },
    clear,
    remove: async ({ keep }) => {
      await clear();
      const copy = `${directory}.kept`;
      if (keep) await cp(directory, copy, { recursive: true, verbatimSymlinks: true });
      // Lazily: a program that did not end in time must not keep the directory.
      await execa("umount", ["--lazy", directory]);
      if (!keep) return;
      await rm(directory, { recursive: true });
      await rename(copy, directory);
    },
  };
}
