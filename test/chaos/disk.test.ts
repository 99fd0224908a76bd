import { readFile, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { mountDisk } from "../../chaos/disk.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { isRoot } from "../helpers/postgres.ts";

async function smallDisk() {
  const directory = join(await temporaryDirectory(), "disk");
  const disk = await mountDisk({ directory, megabytes: 2 });
  let removed = false;
  const remove = async (input: { keep: boolean }) => {
    removed = true;
    await disk.remove(input);
  };
  onTestFinished(() => (removed ? undefined : disk.remove({ keep: false })));
  return { ...disk, remove };
}

const mounts = () => readFile("/proc/self/mounts", "utf8");

test.skipIf(!isRoot)(
  "a disk that is filled takes not one byte more, until it is full no longer (skipped unless root: it mounts a disk)",
  async () => {
    const disk = await smallDisk();
    const write = () => writeFile(join(disk.directory, "file"), "x");
    const full = disk.occupy({ seconds: 1 });
    await expect.poll(async () => (await statfs(disk.directory)).bfree).toBe(0);
    await expect(write()).rejects.toMatchObject({ code: "ENOSPC" });
    await full;
    await write();
  },
);

test.skipIf(!isRoot)(
  "a disk is gone when it is removed, full and in use as it may be (skipped unless root: it mounts a disk)",
  async () => {
    const disk = await smallDisk();
    await writeFile(join(disk.directory, "file"), "content");
    expect(await mounts()).toContain(disk.directory);
    await disk.remove({ keep: true });
    expect(await mounts()).not.toContain(disk.directory);
    expect(await readFile(join(disk.directory, "file"), "utf8")).toBe("content");
  },
);
