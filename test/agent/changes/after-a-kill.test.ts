import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { makeAgentsFleet } from "../../helpers/agents-fleet.ts";
import { syncSpec } from "../../helpers/rsync.ts";

const whole = { kind: "whole" as const };
const slow = { ...syncSpec({ port: 1 }).options, bandwidthKiBps: 200 };

/** rsync on the side that writes is two processes: the generator, and its child, the receiver. */
type Which = (process: { isReceiver: boolean }) => boolean;

const isTemporary = (name: string) => name.startsWith(".file.");

/** Signals rsyncs that write below a directory, once they have begun another file there than before. */
async function signalWriters(
  directory: string,
  { which = () => true, signal = "SIGKILL" }: { which?: Which; signal?: NodeJS.Signals } = {},
): Promise<void> {
  const before = new Set((await readdir(directory)).filter(isTemporary));
  const hasBegun = async () =>
    (await readdir(directory)).some((name) => isTemporary(name) && !before.has(name));
  while (!(await hasBegun())) await sleep(20);
  const pids: number[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
    if (command.startsWith("rsync") && command.includes(directory)) pids.push(Number(pid));
  }
  for (const pid of pids) {
    const parent = Number(
      /^PPid:\s*(\d+)/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1],
    );
    if (which({ isReceiver: pids.includes(parent) })) process.kill(pid, signal);
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
  const killing = signalWriters(host).then(() => signalWriters(host));
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

test("a receiver that was killed alone counts as killed, though its generator says how it ended", async () => {
  const { host, follow, differences } = await begin();
  const receiver: Which = ({ isReceiver }) => isReceiver;
  const killing = signalWriters(host, { which: receiver }).then(() =>
    signalWriters(host, { which: receiver }),
  );
  const [ended] = await Promise.all([follow(0, whole, { options: slow }), killing]);
  expect(ended).toBe("failed");
  expect(await follow(0, whole)).toBe("scan");
  expect(await differences(0)).toEqual([]);
});

test("a scan that fails by itself does not hide that the lists' rsync before it was killed", async () => {
  const { host, follow, differences } = await begin();
  const generator: Which = ({ isReceiver }) => !isReceiver;
  const ending = signalWriters(host).then(() =>
    signalWriters(host, { which: generator, signal: "SIGTERM" }),
  );
  const [ended] = await Promise.all([follow(0, whole, { options: slow }), ending]);
  expect(ended).toBe("failed");
  expect(await follow(0, whole)).toBe("scan");
  expect(await differences(0)).toEqual([]);
});

test("after an rsync that failed by itself the lists go on where it stopped", async () => {
  const { follow, differences } = await begin();
  expect(await follow(0, { kind: "cut", bytes: 0 })).toBe("failed");
  expect(await follow(0, whole)).toBe("lists");
  expect(await differences(0)).toEqual([]);
});
