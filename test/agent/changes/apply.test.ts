import { cp, mkdir, readdir, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeAgentsFleet } from "../../helpers/agents-fleet.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";
import { syncSpec } from "../../helpers/rsync.ts";

const whole = { kind: "whole" as const };
const { limits } = syncSpec({ port: 1 });

/** A tree of thirty files that the first host carries. */
async function begin() {
  const project = await (await makeAgentsFleet()).begin();
  await mkdir(join(project.root, "pool"));
  for (let index = 0; index < 30; index++)
    await writeFile(join(project.root, `pool/file-${index}`), String(index));
  await project.pull(whole);
  expect(await project.follow(0, whole)).toBe("scan");
  const host = project.hostRoots[0]!;
  return { ...project, host };
}

test("what a symlink on the host points to stays, though the lists delete below its name", async () => {
  const { root, host, pull, follow, differences } = await begin();
  const elsewhere = join(await temporaryDirectory(), "pool");
  await cp(join(host, "pool"), elsewhere, { recursive: true });
  await rm(join(host, "pool"), { recursive: true });
  await symlink(elsewhere, join(host, "pool"));
  await rm(join(root, "pool/file-1"));
  await pull(whole);
  expect(await follow(0, whole)).toBe("scan");
  expect(await differences(0)).toEqual([]);
  expect(await readdir(elsewhere)).toHaveLength(30);
});

test("more deletions than the project allows are left to the scan and its guard", async () => {
  const { root, host, pull, follow } = await begin();
  for (let index = 0; index < 20; index++) await rm(join(root, `pool/file-${index}`));
  await pull(whole);
  expect(await follow(0, whole, { files: 32, limits })).toBe("failed");
  expect(await readdir(join(host, "pool"))).toHaveLength(30);
});

test("a host with another tree at its place scans, whatever the control plane thinks it has", async () => {
  const { root, host, pull, follow, differences } = await begin();
  await rename(host, `${host}.old`);
  await mkdir(host);
  await writeFile(join(root, "new"), "new");
  await pull(whole);
  expect(await follow(0, whole)).toBe("scan");
  expect(await differences(0)).toEqual([]);
});

test("what was changed behind the host's back stays until the whole tree is compared, and is drift then", async () => {
  const { root, host, pull, follow, differences, results } = await begin();
  await writeFile(join(host, "pool/file-3"), "somebody was here");
  await writeFile(join(root, "new"), "new");
  await pull(whole);
  expect(await follow(0, whole)).toBe("lists");
  expect(await differences(0)).toHaveLength(1);
  expect(await follow(0, whole, { reconcile: true })).toBe("scan");
  expect(await differences(0)).toEqual([]);
  expect(results.at(-1)!.drift).toMatchObject({ entries: 1 });
  expect(results.at(-1)!.drift!.examples[0]).toContain("pool/file-3");
});

test("a directory that somebody took away on the host is noticed, and the whole tree is compared", async () => {
  const { root, host, pull, follow, differences } = await begin();
  await rm(join(host, "pool"), { recursive: true });
  await writeFile(join(root, "pool/new"), "new");
  await pull(whole);
  expect(await follow(0, whole)).toBe("scan");
  expect(await differences(0)).toEqual([]);
});

test("a file that only the host has does not go with the directory that the lists delete", async () => {
  const { root, host, pull, follow } = await begin();
  await writeFile(join(host, "pool/only-here"), "precious");
  await rm(join(root, "pool"), { recursive: true });
  await pull(whole);
  // The lists leave it to the scan and its guard, which takes the host's file for drift.
  expect(await follow(0, whole, { limits })).toBe("failed");
  expect(await readdir(join(host, "pool"))).toContain("only-here");
});

test("of the tree's top, too, only what the lists name comes: no half file of a pull that is at work there", async () => {
  const { root, host, masterRoot, pull, follow, differences } = await begin();
  await writeFile(join(root, "new"), "new");
  await utimes(root, 1_000_000_000, 1_000_000_000);
  await pull(whole);
  await writeFile(join(masterRoot, ".next.a1B2c3"), "half");
  await utimes(masterRoot, 1_000_000_000, 1_000_000_000);
  expect(await follow(0, whole)).toBe("lists");
  expect(await readdir(host)).toEqual(["new", "pool"]);
  // The directory itself is as the master's.
  await rm(join(masterRoot, ".next.a1B2c3"));
  await utimes(masterRoot, 1_000_000_000, 1_000_000_000);
  expect(await differences(0)).toEqual([]);
});

test("a scan that meets a half file of a pull at work on the master is followed by another, which takes it away", async () => {
  const { root, hostRoots, masterRoot, pull, follow, differences } = await begin();
  const half = join(masterRoot, "pool/.file-1.a1B2c3");
  await writeFile(half, "half");
  expect(await follow(1, whole)).toBe("scan");
  expect(await readdir(join(hostRoots[1]!, "pool"))).toContain(".file-1.a1B2c3");
  await rm(half);
  await writeFile(join(root, "pool/file-1"), "whole");
  await pull(whole);
  expect(await follow(1, whole)).toBe("scan");
  expect(await differences(1)).toEqual([]);
  await writeFile(join(root, "pool/file-2"), "changed");
  await pull(whole);
  expect(await follow(1, whole)).toBe("lists");
});

test("a comparison that meets one at the generation which the host has already is followed by another, too", async () => {
  const { root, hostRoots, masterRoot, pull, follow, differences } = await begin();
  const half = join(masterRoot, "pool/.file-1.a1B2c3");
  await writeFile(half, "half");
  expect(await follow(0, whole, { reconcile: true })).toBe("scan");
  expect(await readdir(join(hostRoots[0]!, "pool"))).toContain(".file-1.a1B2c3");
  await rm(half);
  await writeFile(join(root, "pool/file-1"), "whole");
  await pull(whole);
  expect(await follow(0, whole)).toBe("scan");
  expect(await differences(0)).toEqual([]);
});
