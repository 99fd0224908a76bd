import { mkdir, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { workOn } from "../../agent/work.ts";
import type { SyncSpec } from "../../protocol/order.ts";
import { makeAgentCtx } from "../helpers/agent.ts";
import { freePort, startSource, syncSpec } from "../helpers/rsync.ts";

async function makeAgent(settings: Record<string, string> = {}) {
  const { ctx, mirrorRoot, sealedPassword } = await makeAgentCtx(settings);
  const lines: string[] = [];
  const run = (steps: SyncSpec["steps"], { scanEverySeconds = 0 } = {}) =>
    workOn(ctx, {
      sync: { ...syncSpec({ port: 1 }), steps, scanEverySeconds },
      signal: new AbortController().signal,
      onLine: (line) => void lines.push(line),
      onProgress: () => {},
    });
  const source = (port: number) => ({
    source: { host: "127.0.0.1", port, module: "mirror", path: null, user: "ftp1" },
    sealedPassword,
  });
  return { mirrorRoot, run, source, lines };
}

test("where the first source cannot be reached, the next one is taken, and the log says so", async () => {
  const { mirrorRoot, run, source, lines } = await makeAgent();
  const { tree, port } = await startSource();
  await writeFile(join(tree, "file"), "content");
  const dead = await freePort();
  expect(
    await run([{ sources: [source(dead), source(port)], destination: "debian", sentinel: null }]),
  ).toMatchObject({ outcome: "ok" });
  expect(await readdir(join(mirrorRoot, "debian"))).toEqual(["file"]);
  expect(lines.join("\n")).toContain("trying the next source");
});

test("a source that can be reached and fails is not passed over", async () => {
  const { mirrorRoot, run, source } = await makeAgent();
  const [first, second] = [await startSource(), await startSource()];
  await writeFile(join(second.tree, "file"), "content");
  const wrong = source(first.port);
  const result = await run([
    {
      sources: [{ ...wrong, source: { ...wrong.source, path: "not-there" } }, source(second.port)],
      destination: "debian",
      sentinel: null,
    },
  ]);
  expect(result.outcome).not.toBe("ok");
  expect(await readdir(join(mirrorRoot, "debian"))).toEqual([]);
});

test("a directory that is missing at the source is said to be, with the cure", async () => {
  const { run, source } = await makeAgent();
  const { port } = await startSource();
  const from = source(port);
  const missing = { ...from, source: { ...from.source, path: "hosted" } };
  const { outcome, message } = await run([
    { sources: [missing], destination: "hosted", sentinel: null },
  ]);
  expect(outcome).toBe("partial");
  expect(message).toMatch(/hosted.*No such file.*make it on the master/);
});

test("parts are pulled in order, each into its own place, and counted together", async () => {
  const { mirrorRoot, run, source } = await makeAgent();
  const [one, two] = [await startSource(), await startSource()];
  await writeFile(join(one.tree, "one"), "1");
  await writeFile(join(two.tree, "two"), "22");
  const result = await run([
    { sources: [source(one.port)], destination: "fedora/epel", sentinel: null },
    { sources: [source(two.port)], destination: "fedora/linux", sentinel: null },
  ]);
  expect(result).toMatchObject({ outcome: "ok", stats: { transferred: 2, transferredBytes: 3 } });
  expect((await readdir(join(mirrorRoot, "fedora"), { recursive: true })).toSorted()).toEqual([
    "epel",
    "epel/one",
    "linux",
    "linux/two",
  ]);
});

test("a part that fails ends the order: what comes after it is not begun", async () => {
  const { mirrorRoot, run, source } = await makeAgent();
  const two = await startSource();
  await writeFile(join(two.tree, "two"), "22");
  const result = await run([
    { sources: [source(await freePort())], destination: "fedora/epel", sentinel: null },
    { sources: [source(two.port)], destination: "fedora/linux", sentinel: null },
  ]);
  expect(result.outcome).toBe("retryable");
  expect(await readdir(join(mirrorRoot, "fedora/linux"))).toEqual([]);
});

async function withSentinel() {
  const agent = await makeAgent();
  const { tree, port } = await startSource();
  await mkdir(join(tree, "trace"));
  const sentinel = join(tree, "trace/master");
  const publish = async (time: number, name: string) => {
    await writeFile(join(tree, name), name);
    await writeFile(sentinel, `published at ${time}`);
    await utimes(sentinel, time, time);
  };
  const step = (ports: number[]) => ({
    sources: ports.map(agent.source),
    destination: "debian",
    sentinel: "trace/master",
  });
  const pull = (scanEverySeconds = 3600, ports = [port]) =>
    agent.run([step(ports)], { scanEverySeconds });
  return { ...agent, tree, port, sentinel, publish, pull };
}

test("while the sentinel is the same nothing is scanned, until it changes or a scan is due", async () => {
  const { tree, publish, pull } = await withSentinel();
  await publish(1_700_000_000, "one");
  expect(await pull()).toMatchObject({ outcome: "ok", stats: { created: expect.any(Number) } });
  await writeFile(join(tree, "unannounced"), "");
  expect(await pull()).toMatchObject({
    outcome: "ok",
    changes: 0,
    stats: null,
    message: expect.stringContaining("unchanged: trace/master"),
  });
  expect((await pull(0)).changes).toBeGreaterThan(0);
  await publish(1_700_000_100, "two");
  expect((await pull()).changes).toBeGreaterThan(0);
});

test("a source that is older than what was pulled before is passed over for one that is not", async () => {
  const { mirrorRoot, port, publish, pull, lines } = await withSentinel();
  await publish(1_700_000_000, "one");
  await pull();
  const stale = await startSource();
  await mkdir(join(stale.tree, "trace"));
  await writeFile(join(stale.tree, "trace/master"), "old");
  await utimes(join(stale.tree, "trace/master"), 1_600_000_000, 1_600_000_000);
  await publish(1_700_000_100, "two");
  expect(await pull(3600, [stale.port, port])).toMatchObject({ outcome: "ok" });
  expect(lines.join("\n")).toContain("is older than what was pulled before");
  expect(await readdir(join(mirrorRoot, "debian"))).toContain("two");
  expect(await pull(3600, [stale.port])).toMatchObject({ outcome: "retryable", changes: 0 });
  expect(await readdir(join(mirrorRoot, "debian"))).toContain("two");
});

test("a source without its sentinel is scanned, and the log says so", async () => {
  const { sentinel, publish, pull, lines } = await withSentinel();
  await publish(1_700_000_000, "one");
  await rm(sentinel);
  expect((await pull()).changes).toBeGreaterThan(0);
  expect(lines.join("\n")).toContain("has no trace/master");
});

test("a disk without room is not written to, and says how much is free and where that is set", async () => {
  const { mirrorRoot, run, source } = await makeAgent({ "min-free-percent": "99" });
  const { port } = await startSource();
  const result = await run([{ sources: [source(port)], destination: "debian", sentinel: null }]);
  expect(result.outcome).toBe("retryable");
  expect(result.message).toContain("MIRRORFLEET_MIN_FREE_PERCENT");
  expect(await readdir(mirrorRoot)).toEqual([]);
});

test("a mirror root without its marker is an empty mount point: nothing is written there", async () => {
  const { mirrorRoot, run, source } = await makeAgent({ "root-marker": ".mirror-disk" });
  const { tree, port } = await startSource();
  await writeFile(join(tree, "file"), "content");
  const steps = [{ sources: [source(port)], destination: "debian", sentinel: null }];
  await expect(run(steps)).rejects.toThrow("is its disk mounted?");
  expect(await readdir(mirrorRoot)).toEqual([]);
  await writeFile(join(mirrorRoot, ".mirror-disk"), "");
  expect(await run(steps)).toMatchObject({ outcome: "ok" });
});

test("files that a killed rsync left in its staging directories are gone after the next success", async () => {
  const { mirrorRoot, run, source } = await makeAgent();
  const { tree, port } = await startSource();
  await mkdir(join(tree, "pool"));
  await writeFile(join(tree, "pool/file"), "content");
  const step = (at: number) => [{ sources: [source(at)], destination: "debian", sentinel: null }];
  await run(step(port));
  await run(step(await freePort()));
  const staging = join(mirrorRoot, "debian/pool/.~tmp~");
  await mkdir(staging);
  await writeFile(join(staging, "never-came"), "half");
  await run(step(port));
  expect(await readdir(join(mirrorRoot, "debian/pool"))).toEqual(["file"]);
});
