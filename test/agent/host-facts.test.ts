import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { roomIn, watchHostFacts } from "../../agent/host-facts.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

const unguarded = { quarantines: null, quarantineDays: 7 };

test("a host says for how many days deleted files wait with it, and that none do where it has no quarantine", async () => {
  const daysOf = async (quarantines: string[] | null) => {
    const watch = await watchHostFacts({
      rsync: "rsync",
      mirrorRoots: [],
      quarantines,
      quarantineDays: 12,
    });
    onTestFinished(watch.stop);
    return watch.latest()!.quarantineDays;
  };
  expect(await daysOf(["/srv/mirror-quarantine"])).toBe(12);
  expect(await daysOf(null)).toBe(0);
});

test("a host knows its rsync and the room below its roots, and leaves out a root that is missing", async () => {
  const root = await temporaryDirectory();
  const watch = await watchHostFacts({
    rsync: "rsync",
    mirrorRoots: [root, "/nonexistent"],
    ...unguarded,
  });
  onTestFinished(watch.stop);
  const facts = watch.latest()!;
  expect(facts.rsyncVersion).toMatch(/^3\.\d+\.\d+/);
  expect(facts.roots.map(({ path }) => path)).toEqual([root]);
  const [{ totalBytes, freeBytes }] = facts.roots as [(typeof facts.roots)[number]];
  expect(totalBytes).toBeGreaterThanOrEqual(freeBytes);
  expect(freeBytes).toBeGreaterThan(0);
});

test("an rsync that does not run has no version", async () => {
  const directory = await temporaryDirectory();
  const rsync = join(directory, "rsync");
  await writeFile(rsync, "#!/bin/sh\nexit 1\n");
  await chmod(rsync, 0o755);
  const watch = await watchHostFacts({ rsync, mirrorRoots: [], ...unguarded });
  onTestFinished(watch.stop);
  expect(watch.latest()).toEqual({ rsyncVersion: null, roots: [], quarantineDays: 0 });
});

test("a file system that says all ones of its inodes has no fixed number of them, and one of its size no room", () => {
  const found = { bsize: 4096, blocks: 1000, bavail: 10, files: 500, ffree: 50 };
  expect(roomIn("/srv", found)).toMatchObject({ totalInodes: 500, freeInodes: 50 });
  expect(roomIn("/srv", { ...found, ffree: 2 ** 64 })).toEqual({
    path: "/srv",
    totalBytes: 4_096_000,
    freeBytes: 40_960,
    totalInodes: 0,
    freeInodes: 0,
  });
  expect(roomIn("/srv", { ...found, blocks: 2 ** 62 })).toBeNull();
});
