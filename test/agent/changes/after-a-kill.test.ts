import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { makeAgentsFleet } from "../../helpers/agents-fleet.ts";
import { syncSpec } from "../../helpers/rsync.ts";

const whole = { kind: "whole" as const };
const slow = { ...syncSpec({ port: 1 }).options, bandwidthKiBps: 200 };

const isTemporary = (name: string) => name.startsWith(".file.");

/** Kills the rsyncs that write below a directory, once they have begun another file there than before. */
async function killWriters(directory: string): Promise<void> {
  const before = new Set((await readdir(directory)).filter(isTemporary));
  const hasBegun = async () =>
    (await readdir(directory)).some((name) => isTemporary(name) && !before.has(name));
  while (!(await hasBegun())) await sleep(20);
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
    if (command.startsWith("rsync") && command.includes(directory))
      process.kill(Number(pid), "SIGKILL");
  }
}

async function begin() {
  const project = await (await makeAgentsFleet()).begin();
  await writeFile(join(project.root, "file"), "first");
  await project.pull(whole);
  expect(await project.follow(0, whole)).toBe("scan");
  await writeFile(join(project.root, "file"), Buffer.alloc(2_000_000, "second"));
  await project.pull(whole);
  return { ...project, host: project.hostRoots[0]! };
}

test("what a killed rsync left beside its destination is gone after the host's next success", async () => {
  const { root, host, pull, follow, differences } = await begin();
  // The lists' rsync, and that of the scan which comes when it has not ended well.
  const killing = killWriters(host).then(() => killWriters(host));
  const [ended] = await Promise.all([follow(0, whole, { options: slow }), killing]);
  expect(ended).toBe("failed");
  expect((await readdir(host)).length).toBeGreaterThan(1);
  expect(await follow(0, whole)).toBe("scan");
  expect(await differences(0)).toEqual([]);
  await writeFile(join(root, "file"), "third");
  await pull(whole);
  expect(await follow(0, whole)).toBe("lists");
  expect(await differences(0)).toEqual([]);
});

test("after an rsync that failed by itself the lists go on where it stopped", async () => {
  const { follow, differences } = await begin();
  expect(await follow(0, { kind: "cut", bytes: 0 })).toBe("failed");
  expect(await follow(0, whole)).toBe("lists");
  expect(await differences(0)).toEqual([]);
});
