import { lstat, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { workOn } from "../../agent/work.ts";
import type { SyncSpec } from "../../protocol/order.ts";
import { makeAgentCtx } from "../helpers/agent.ts";
import { makeAgentsFleet } from "../helpers/agents-fleet.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { startSource, syncSpec } from "../helpers/rsync.ts";

const whole = { kind: "whole" as const };
const debian = { style: "debian" as const };
const timestamp = { style: "timestamp" as const };

/** Another time when a file was written anew, whatever its own time says. */
const writtenAt = async (...path: string[]) =>
  (await lstat(join(...path), { bigint: true })).ctimeNs;

/** A tree as Debian's archive has it. */
async function fill(root: string): Promise<void> {
  await mkdir(join(root, "project/trace"), { recursive: true });
  await writeFile(join(root, "project/trace/master"), "x\nArchive serial: 2026110501\n");
  await writeFile(join(root, "project/trace/mirror.example"), "an upstream's");
  await mkdir(join(root, "pool"));
  for (let index = 0; index < 30; index++)
    await writeFile(join(root, `pool/file-${index}`), String(index));
}

/** The project of a fleet whose master and first host carry it. */
async function carried(wants: Parameters<Awaited<ReturnType<typeof makeAgentsFleet>>["begin"]>[0]) {
  const project = await (await makeAgentsFleet()).begin(wants);
  await fill(project.root);
  await project.pull(whole);
  expect(await project.follow(0, whole)).toBe("scan");
  const [host] = project.hostRoots as [string];
  const traces = async () => (await readdir(join(host, "project/trace"))).toSorted();
  return { ...project, host, traces };
}

/** One agent that pulls from a source, with a quarantine. */
async function makeAgent(wants: Partial<SyncSpec>) {
  const { ctx, mirrorRoot, sealedPassword } = await makeAgentCtx();
  const quarantine = await temporaryDirectory();
  const { tree, port } = await startSource();
  await fill(tree);
  const source = { host: "127.0.0.1", port, module: "mirror", path: null, user: "ftp1" };
  const lines: string[] = [];
  let generation = 0;
  const run = (order: Partial<SyncSpec> = {}) =>
    workOn(
      { ...ctx, config: { ...ctx.config, quarantines: [quarantine] } },
      {
        sync: syncSpec({
          port,
          steps: [{ sources: [{ source, sealedPassword }], destination: "debian", sentinel: null }],
          publish: ++generation,
          ...wants,
          ...order,
        }),
        signal: new AbortController().signal,
        onLine: (line) => void lines.push(line),
        onProgress: () => {},
      },
    );
  const destination = join(mirrorRoot, "debian");
  const { hostId, host } = ctx.identity;
  return { tree, source, sealedPassword, destination, quarantine, run, lines, hostId, host };
}

test("each host has its own Debian trace file, beside the master's and the upstream's, and no other difference", async () => {
  const { host, masterRoot, traces, differences } = await carried({ trace: debian });
  expect(await traces()).toEqual(["ftp-a", "hub", "master", "mirror.example"]);
  expect(await readdir(join(masterRoot, "project/trace"))).not.toContain("ftp-a");
  expect(await differences(0)).toEqual([]);
  const own = join(host, "project/trace/ftp-a");
  expect((await lstat(own)).mode & 0o777).toBe(0o644);
  const text = await readFile(own, "utf8");
  expect(text).toContain("\nArchive serial: 2026110501\n");
  expect(text).toContain("\nRunning on host: ftp-a\n");
  expect(text).toMatch(/\nTotal bytes received in rsync: [1-9]\d*\n/);
});

test("a change list brings the master's new trace file, and leaves the host's own one to the host", async () => {
  const { root, host, pull, follow, differences } = await carried({ trace: debian });
  const read = (name: string) => readFile(join(host, "project/trace", name), "utf8");
  const before = await read("hub");
  await writeFile(join(root, "pool/new"), "new");
  await writeFile(join(root, "project/trace/master"), "longer\nArchive serial: 2026110502\n");
  await rm(join(root, "project/trace/mirror.example"));
  await pull(whole);
  expect(await follow(0, whole)).toBe("lists");
  expect(await differences(0)).toEqual([]);
  for (const name of ["hub", "ftp-a"])
    expect(await read(name)).toContain("\nArchive serial: 2026110502\n");
  expect(await read("hub")).not.toBe(before);
});

test("a pull that finds nothing touches no Debian trace file and makes no generation, but for the first one", async () => {
  const project = await carried({});
  const { masterRoot, pull, follow, traces, wants, generation, differences } = project;
  expect(generation()).toBe(1);
  wants.trace = debian;
  expect(await pull(whole)).toMatchObject({ changes: 0, changeList: { entries: 1 } });
  expect(generation()).toBe(2);
  expect(await follow(0, whole)).toBe("lists");
  expect(await traces()).toEqual(["ftp-a", "hub", "master", "mirror.example"]);
  const written = await writtenAt(masterRoot, "project/trace/hub");
  expect(await pull(whole)).toMatchObject({ outcome: "ok", changes: 0, changeList: null });
  expect(generation()).toBe(2);
  expect(await writtenAt(masterRoot, "project/trace/hub")).toBe(written);
  expect(await differences(0)).toEqual([]);
});

test("what a failed pull had changed has its trace file when the next one finds nothing more", async () => {
  const { root, pull, follow, differences } = await carried({ trace: debian });
  await writeFile(join(root, "pool/new"), "new");
  await pull({ kind: "lost" });
  await pull(whole);
  expect(await follow(0, whole)).toBe("lists");
  expect(await differences(0)).toEqual([]);
});

test.each([[debian], [timestamp]])(
  "a comparison of the whole tree takes no trace file for drift: %j",
  async (trace) => {
    const { root, pull, follow, results } = await carried({ trace });
    await writeFile(join(root, "pool/new"), "new");
    await pull(whole);
    expect(await follow(0, whole, { reconcile: true })).toBe("scan");
    expect(results.at(-1)).toMatchObject({ drift: null });
  },
);

test("a timestamp is each host's own, of every sync, and makes no generation", async () => {
  const project = await carried({ trace: timestamp });
  const { root, host, masterRoot, pull, follow, generation, differences } = project;
  const stamps = () => Promise.all([masterRoot, host].map((at) => writtenAt(at, ".lastsync")));
  expect(Number(await readFile(join(host, ".lastsync"), "utf8"))).toBeGreaterThan(1_700_000_000);
  const [first, hosts] = await stamps();
  await pull(whole);
  expect(generation()).toBe(1);
  const [second] = await stamps();
  expect(second).not.toBe(first);
  await writeFile(join(root, "pool/new"), "new");
  await pull(whole);
  expect(await follow(0, whole)).toBe("lists");
  expect((await stamps())[1]).not.toBe(hosts);
  expect(await differences(0)).toEqual([]);
});

test("a project that wants no trace files any more has none after its scans", async () => {
  const { host, masterRoot, wants, pull, follow, traces, differences } = await carried({
    trace: debian,
  });
  delete wants.trace;
  await pull(whole);
  expect(await follow(0, whole, { reconcile: true })).toBe("scan");
  expect(await traces()).toEqual(["master", "mirror.example"]);
  expect(await differences(0)).toEqual([]);
  wants.trace = { ...timestamp, path: "pool/synced" };
  await pull(whole);
  expect(await readdir(join(masterRoot, "pool"))).toContain("synced");
  expect(await readdir(join(host, "pool"))).not.toContain("synced");
});

test("an upstream that turned empty is held as ever, with the own timestamp not counted, kept, and in no quarantine", async () => {
  const { tree, destination, quarantine, run } = await makeAgent({ trace: timestamp });
  await run();
  const entries = (await readdir(destination, { recursive: true })).length - 1;
  for (const name of await readdir(tree)) await rm(join(tree, name), { recursive: true });
  const stamp = await readFile(join(destination, ".lastsync"), "utf8");
  const held = await run();
  expect(held).toMatchObject({ outcome: "held", held: { deletions: entries } });
  expect(held.message).toContain("turned empty");
  expect(await readFile(join(destination, ".lastsync"), "utf8")).toBe(stamp);
  const { limits } = syncSpec({ port: 1 });
  expect(await run({ limits: { ...limits, approvedDeletions: entries } })).toMatchObject({
    outcome: "ok",
    changes: entries,
  });
  expect(await readdir(destination)).toEqual([".lastsync"]);
  expect(await readdir(join(quarantine, "debian"), { recursive: true })).not.toContainEqual(
    expect.stringContaining(".lastsync"),
  );
});

test("a Debian trace file goes with its directory, and the sync says why there is none", async () => {
  const { tree, destination, run } = await makeAgent({ trace: debian });
  await run();
  expect(await readdir(join(destination, "project/trace"))).toContain("ftp1");
  await rm(join(tree, "project"), { recursive: true });
  const result = await run();
  expect(result).toMatchObject({ outcome: "ok" });
  expect(result.message).toContain("no trace file: the tree has no directory project/trace");
  expect(await readdir(destination)).toEqual(["pool"]);
  expect(await run()).toMatchObject({ outcome: "ok", changes: 0, changeList: null });
});

test("an upstream's own file of the host's name is never touched by a Debian trace file", async () => {
  const { tree, destination, run } = await makeAgent({ trace: debian });
  await writeFile(join(tree, "project/trace/ftp1"), "of another ftp1");
  const result = await run();
  expect(result).toMatchObject({ outcome: "ok" });
  expect(result.message).toContain("project/trace/ftp1 is the source's own");
  expect(await readFile(join(destination, "project/trace/ftp1"), "utf8")).toBe("of another ftp1");
  expect(await run()).toMatchObject({ outcome: "ok", changes: 0, changeList: null });
});

test("a timestamp takes the place of what the upstream has under its name", async () => {
  const { tree, destination, run } = await makeAgent({ trace: { ...timestamp, path: "lastsync" } });
  await writeFile(join(tree, "lastsync"), "the upstream's");
  await run();
  expect(await readFile(join(destination, "lastsync"), "utf8")).toMatch(/^\d+\n$/);
  expect(await run()).toMatchObject({ outcome: "ok", changes: 0, changeList: null });
});

test.each(["project", "project/trace"])(
  "no symlink is followed: %s of the upstream leads out of the tree",
  async (path) => {
    const { tree, destination, run } = await makeAgent({ trace: debian });
    const elsewhere = await temporaryDirectory();
    await rename(join(tree, path), join(elsewhere, "there"));
    await mkdir(join(elsewhere, "there/trace"), { recursive: true });
    await symlink(join(elsewhere, "there"), join(tree, path));
    const result = await run();
    expect(result).toMatchObject({ outcome: "ok" });
    expect(result.message).toContain("no trace file");
    expect((await lstat(join(destination, path))).isSymbolicLink()).toBe(true);
    const names = await readdir(elsewhere, { recursive: true });
    expect(names.filter((name) => /ftp1|\.[0-9a-f-]{36}/.test(name))).toEqual([]);
    expect(await run()).toMatchObject({ outcome: "ok", changes: 0, changeList: null });
  },
);

test("a symlink under the timestamp's name is replaced, not followed; a directory is left, and said", async () => {
  const { destination, run } = await makeAgent({ trace: timestamp });
  await run();
  const precious = join(await temporaryDirectory(), "precious");
  await writeFile(precious, "precious");
  await rm(join(destination, ".lastsync"));
  await symlink(precious, join(destination, ".lastsync"));
  expect(await run()).toMatchObject({ outcome: "ok" });
  expect(await readFile(precious, "utf8")).toBe("precious");
  expect((await lstat(join(destination, ".lastsync"))).isFile()).toBe(true);
  await rm(join(destination, ".lastsync"));
  await mkdir(join(destination, ".lastsync"));
  const result = await run();
  expect(result).toMatchObject({ outcome: "ok" });
  expect(result.message).toContain("no trace file: .lastsync cannot be written (EISDIR)");
  expect(await readdir(destination)).toEqual([".lastsync", "pool", "project"]);
});

test("of a project of several parts the file lies below the project, also within a part", async () => {
  for (const path of ["synced", "epel/pool/synced"]) {
    const { tree, source, sealedPassword, destination, run } = await makeAgent({
      trace: { ...timestamp, path },
    });
    const steps = ["epel", "linux"].map((part) => ({
      sources: [{ source, sealedPassword }],
      destination: `debian/${part}`,
      sentinel: null,
    }));
    await run({ steps });
    expect(await run({ steps })).toMatchObject({ outcome: "ok", changes: 0, changeList: null });
    await rm(join(tree, "pool/file-1"));
    expect(await run({ steps })).toMatchObject({ outcome: "ok", stats: { deleted: 2 } });
    expect(await readFile(join(destination, path), "utf8")).toMatch(/^\d+\n$/);
  }
});

test("a sync that does not succeed leaves the trace file as it was", async () => {
  const { destination, run } = await makeAgent({ trace: timestamp });
  await run();
  const written = await writtenAt(destination, ".lastsync");
  const dead = await run({
    steps: syncSpec({ port: 1 }).steps,
  });
  expect(dead.outcome).not.toBe("ok");
  expect(await writtenAt(destination, ".lastsync")).toBe(written);
});
