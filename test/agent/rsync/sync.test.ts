import { execFileSync } from "node:child_process";
import {
  chmod,
  link,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { compareTrees } from "../../../demo/compare.ts";
import { syncTree, whyHeld } from "../../../agent/rsync/sync.ts";
import type { Progress } from "../../../protocol/report.ts";
import type { RsyncLimits, RsyncOptions } from "../../../protocol/rsync.ts";
import { pullOf, startSource, syncSpec } from "../../helpers/rsync.ts";

type Source = { port: number; destination: string };

async function pull(
  { port, destination }: Source,
  {
    limits = {},
    options = {},
    ...overrides
  }: {
    limits?: Partial<RsyncLimits>;
    options?: Partial<RsyncOptions>;
    password?: string;
    lines?: string[];
    signal?: AbortSignal;
    rsync?: string;
    onProgress?: (progress: Progress) => void;
  } = {},
) {
  const usual = pullOf(syncSpec({ port }));
  return syncTree(
    { rsync: overrides.rsync ?? "rsync", stateDir: "/nonexistent", wrapper: [] },
    {
      pull: {
        ...usual,
        options: { ...usual.options, ...options },
        limits: { ...usual.limits, ...limits },
      },
      destination,
      password: overrides.password ?? "right-password",
      signal: overrides.signal ?? new AbortController().signal,
      onLine: (line) => overrides.lines?.push(line),
      onProgress: overrides.onProgress ?? (() => {}),
    },
  );
}

async function fill(directory: string, { files }: { files: number }) {
  await mkdir(directory, { recursive: true });
  for (let index = 0; index < files; index++)
    await writeFile(join(directory, `file-${index}`), `content ${index}`);
}

/** An rsync that notes the arguments of each call. */
async function notingRsync({ stateDir }: { stateDir: string }) {
  const calls = join(stateDir, "calls");
  const rsync = join(stateDir, "rsync");
  await writeFile(rsync, `#!/bin/sh\necho "$*" >>'${calls}'\nexec rsync "$@"\n`, { mode: 0o755 });
  return { rsync, calls: async () => (await readFile(calls, "utf8")).split("\n").slice(0, -1) };
}

test("files do not come as programs that run as the agent; setgid directories stay what they are", async () => {
  const source = await startSource();
  await mkdir(join(source.tree, "shared"));
  await chmod(join(source.tree, "shared"), 0o2775);
  for (const [name, mode] of Object.entries({ setuid: 0o4755, setgid: 0o2755, plain: 0o664 })) {
    await writeFile(join(source.tree, name), "#!/bin/sh\n");
    await chmod(join(source.tree, name), mode);
  }
  const modeOf = async (name: string) =>
    ((await stat(join(source.destination, name))).mode & 0o7777).toString(8);
  expect(await pull(source)).toMatchObject({ outcome: "ok" });
  expect(await Promise.all(["setuid", "setgid", "plain", "shared"].map(modeOf))).toEqual([
    "755",
    "755",
    "664",
    "2775",
  ]);
  // Nor is that a difference, which each further sync would find anew.
  expect(await pull(source)).toMatchObject({ outcome: "ok", changes: 0 });
});

test("files are moved into their places in the end, but into an empty directory they come at once", async () => {
  const source = await startSource();
  await fill(source.tree, { files: 3 });
  const { rsync, calls } = await notingRsync(source);
  expect(await pull(source, { rsync })).toMatchObject({ outcome: "ok" });
  await fill(source.tree, { files: 5 });
  expect(await pull(source, { rsync })).toMatchObject({ outcome: "ok" });
  const [first, second] = await calls();
  expect(first).toContain("--partial-dir=.~tmp~");
  expect(first).not.toContain("--delay-updates");
  expect(second).toContain("--delay-updates");
});

test("in an empty directory nothing is looked for that would have to go, and afterwards it is", async () => {
  const source = await startSource();
  await fill(source.tree, { files: 3 });
  await writeFile(join(source.tree, "Release"), "names them");
  const { rsync, calls } = await notingRsync(source);
  const options = { indexesLast: "debian" as const };
  const lines: string[] = [];
  expect(await pull(source, { rsync, options, lines })).toMatchObject({ outcome: "ok" });
  expect((await calls()).filter((call) => call.includes("delete"))).toEqual([]);
  expect(lines).toContain(">f+++++++++ file-2");
  await rm(join(source.tree, "file-2"));
  const again = await pull(source, { rsync, options });
  expect(again).toMatchObject({ outcome: "ok", stats: { deleted: 1 } });
  const { differences } = await compareTrees({
    expected: source.tree,
    actual: source.destination,
  });
  expect(differences).toEqual([]);
});

test("while a large file comes, the progress goes on, and the whole is known from its beginning", async () => {
  const source = await startSource();
  await fill(join(source.tree, "first"), { files: 20 });
  await writeFile(join(source.tree, "large"), Buffer.alloc(3_000_000, 1));
  for (let index = 0; index < 300; index++) {
    await fill(join(source.tree, `later-${index}`), { files: 8 });
  }
  const seen: Progress[] = [];
  const options = { bandwidthKiBps: 1500 };
  const onProgress = (progress: Progress) => seen.push(progress);
  expect(await pull(source, { options, onProgress })).toMatchObject({ outcome: "ok" });
  // A line within a file does not tell.
  const totals = new Set(seen.map(({ filesTotal }) => filesTotal).filter((total) => total > 0));
  expect([...totals]).toEqual([2723]);
  const during = seen.filter(({ bytes }) => bytes > 500_000 && bytes < 2_900_000);
  expect(during.length).toBeGreaterThan(0);
  expect(during.every(({ percent }) => percent < 98)).toBe(true);
  expect(seen.at(-1)).toMatchObject({ percent: 100, filesTransferred: 2421 });
});

test("what no index names yet comes at once, and the indexes in the end", async () => {
  const source = await startSource();
  await fill(source.destination, { files: 1 });
  await fill(join(source.tree, "pool"), { files: 3 });
  await writeFile(join(source.tree, "Release"), "names them");
  const { rsync, calls } = await notingRsync(source);
  const options = { indexesLast: "debian" as const, delete: false };
  expect(await pull(source, { rsync, options })).toMatchObject({ outcome: "ok" });
  expect((await calls()).map((call) => call.includes("--delay-updates"))).toEqual([false, true]);
});

test("a tree comes out exact: odd names, modes, times, symlinks, hard links, empty directories", async () => {
  const source = await startSource();
  const names = [
    "with space",
    "-dash",
    "line\nbreak",
    "back\\slash",
    "quote'\"",
    "ünïcode",
    ".hidden",
    "x".repeat(255),
  ];
  for (const name of names) await writeFile(join(source.tree, name), name);
  await writeFile(
    Buffer.concat([Buffer.from(`${source.tree}/`), Buffer.from([0x66, 0xff, 0xfe])]),
    "not UTF-8",
  );
  await mkdir(join(source.tree, "empty/deep"), { recursive: true });
  await link(join(source.tree, "with space"), join(source.tree, "empty/hard"));
  await symlink("/nonexistent", join(source.tree, "dangling"));
  await symlink("../..", join(source.tree, "empty/up"));
  await chmod(join(source.tree, "-dash"), 0o640);
  await utimes(join(source.tree, ".hidden"), 1, 1.5);
  expect(await pull(source)).toMatchObject({ outcome: "ok", exitCode: 0 });
  expect(
    (await compareTrees({ expected: source.tree, actual: source.destination })).differences,
  ).toEqual([]);
  expect(await pull(source)).toMatchObject({ outcome: "ok", changes: 0 });
});

test("a change of mode alone counts as a change", async () => {
  const source = await startSource();
  await fill(source.tree, { files: 3 });
  await pull(source);
  await chmod(join(source.tree, "file-1"), 0o600);
  expect(await pull(source)).toMatchObject({ outcome: "ok", changes: 1 });
});

test("deletions within the limit are made, and each pass's counts are added up", async () => {
  const source = await startSource();
  await fill(source.tree, { files: 200 });
  await pull(source);
  for (let index = 0; index < 15; index++) await rm(join(source.tree, `file-${index}`));
  await writeFile(join(source.tree, "new"), "new");
  const result = await pull(source);
  expect(result).toMatchObject({ outcome: "ok", stats: { deleted: 15, created: 1 } });
  expect(
    (await compareTrees({ expected: source.tree, actual: source.destination })).differences,
  ).toEqual([]);
});

test("a source that turned empty deletes nothing, whatever the limit", async () => {
  const source = await startSource();
  await fill(source.tree, { files: 5 });
  await pull(source);
  for (const name of await readdir(source.tree)) await rm(join(source.tree, name));
  const result = await pull(source, { limits: { maxDeletePercent: 100 } });
  expect(result).toMatchObject({ outcome: "held" });
  expect(result.message).toContain("turned empty");
  expect(await readdir(source.destination)).toHaveLength(5);
});

test("a source that lost half of its files deletes nothing until an operator approves, and takes the new files", async () => {
  const source = await startSource();
  await fill(join(source.tree, "a"), { files: 100 });
  await fill(join(source.tree, "b"), { files: 100 });
  await pull(source);
  await rm(join(source.tree, "a"), { recursive: true });
  await writeFile(join(source.tree, "b/new"), "new");
  const held = await pull(source);
  expect(held).toMatchObject({ outcome: "held" });
  expect(await readdir(join(source.destination, "a"))).toHaveLength(100);
  expect(await readFile(join(source.destination, "b/new"), "utf8")).toBe("new");
  const approved = Number(/--approve-deletions (\d+)/.exec(held.message)![1]);
  expect(await pull(source, { limits: { approvedDeletions: approved - 1 } })).toMatchObject({
    outcome: "held",
  });
  expect(await pull(source, { limits: { approvedDeletions: approved } })).toMatchObject({
    outcome: "ok",
  });
  expect(
    (await compareTrees({ expected: source.tree, actual: source.destination })).differences,
  ).toEqual([]);
});

test("held deletions are counted exactly, directories included, and named: one approval is enough", async () => {
  const source = await startSource();
  await fill(source.tree, { files: 50 });
  const deep = Array.from({ length: 30 }, (_, index) => `d${index}`).join("/");
  await fill(join(source.tree, deep), { files: 1 });
  await pull(source);
  await rm(join(source.tree, "d0"), { recursive: true });
  const held = await pull(source);
  expect(held.message).toContain("31 of ");
  expect(held.message).toContain("d0/d1/");
  expect(await pull(source, { limits: { approvedDeletions: 31 } })).toMatchObject({
    outcome: "ok",
    stats: { deleted: 31 },
  });
  expect(
    (await compareTrees({ expected: source.tree, actual: source.destination })).differences,
  ).toEqual([]);
});

test("a directory that became a file, a file that became a directory, and a deep rename come out exact", async () => {
  const source = await startSource();
  await fill(join(source.tree, "keep"), { files: 300 });
  await fill(join(source.tree, "directory/deep"), { files: 5 });
  await fill(join(source.tree, "moving/deep/deeper"), { files: 5 });
  await writeFile(join(source.tree, "file"), "file");
  await pull(source);
  await rm(join(source.tree, "directory"), { recursive: true });
  await writeFile(join(source.tree, "directory"), "now a file");
  await rm(join(source.tree, "file"));
  await fill(join(source.tree, "file"), { files: 2 });
  await rename(join(source.tree, "moving"), join(source.tree, "moved"));
  expect(await pull(source)).toMatchObject({ outcome: "ok" });
  expect(
    (await compareTrees({ expected: source.tree, actual: source.destination })).differences,
  ).toEqual([]);
});

test("a wrong password is fatal and changes nothing", async () => {
  const source = await startSource();
  await fill(source.tree, { files: 1 });
  expect(await pull(source, { password: "wrong" })).toMatchObject({
    outcome: "fatal",
    exitCode: 5,
    message: expect.stringContaining("auth failed"),
  });
  expect(await readdir(source.destination)).toEqual([]);
});

test("the daemon refuses writes, and hosts that it does not know", async () => {
  const source = await startSource();
  const url = `rsync://ftp1@127.0.0.1:${source.port}/mirror/`;
  const env = { ...process.env, RSYNC_PASSWORD: "right-password" };
  expect(() => execFileSync("rsync", ["/etc/hostname", url], { env, stdio: "pipe" })).toThrow(
    /read only/,
  );
  const elsewhere = { name: "ftp1", password: "right-password", addresses: ["192.0.2.1"] };
  await source.daemon.update({ users: [elsewhere], serves: null });
  expect(() => execFileSync("rsync", [url], { env, stdio: "pipe" })).toThrow(
    /access denied|Unknown module/i,
  );
  await source.daemon.update({ users: [], serves: null });
  expect(() => execFileSync("rsync", [url], { env, stdio: "pipe" })).toThrow(
    /denied|auth failed|Unknown module/i,
  );
});

test("a source that accepts and says nothing is ended as stalled", async () => {
  const silent = createServer(() => {}).listen(0, "127.0.0.1");
  await new Promise((resolve) => silent.once("listening", resolve));
  onTestFinished(() => void silent.close());
  const { destination } = await startSource();
  const { port } = silent.address() as { port: number };
  const result = await pull({ port, destination }, { limits: { stallSeconds: 1 } });
  expect(["stalled", "retryable"]).toContain(result.outcome);
});

test("an interrupted sync leaves no process behind, and shows its password to nobody", async () => {
  const silent = createServer(() => {}).listen(0, "127.0.0.1");
  await new Promise((resolve) => silent.once("listening", resolve));
  onTestFinished(() => void silent.close());
  const { destination } = await startSource();
  const { port } = silent.address() as { port: number };
  const stop = new AbortController();
  const password = "a-secret-password";
  const lines: string[] = [];
  const pulling = pull({ port, destination }, { password, signal: stop.signal, lines });
  const mine = () =>
    execFileSync("ps", ["-eo", "pid,args"], { encoding: "utf8" })
      .split("\n")
      .filter((line) => line.includes(`127.0.0.1:${port}/`));
  while (mine().length === 0) await sleep(20);
  expect(mine().join()).not.toContain(password);
  stop.abort();
  expect(await pulling).toMatchObject({ outcome: "interrupted" });
  expect(mine()).toEqual([]);
  expect(lines.join()).not.toContain(password);
});

test("rsync that is not installed is said with the cure", async () => {
  const { destination } = await startSource();
  const result = await syncTree(
    { rsync: "/nonexistent/rsync", stateDir: "/nonexistent", wrapper: [] },
    {
      pull: pullOf(syncSpec({ port: 1 })),
      destination,
      password: null,
      signal: new AbortController().signal,
      onLine: () => {},
      onProgress: () => {},
    },
  );
  expect(result).toMatchObject({
    outcome: "fatal",
    message: expect.stringContaining("install it"),
  });
});

test("small trees may lose a few files whatever their share", () => {
  const limits = {
    wallClockSeconds: 1,
    stallSeconds: 1,
    maxDeletePercent: 10,
    approvedDeletions: null,
  };
  const why = (deletions: number, entries: number) =>
    whyHeld({ held: { deletions, entries, examples: [], directories: [] }, limits, options: {} });
  expect(why(10, 15)).toBeNull();
  expect(why(11, 16)).toContain("11 of 16 files");
  expect(why(100, 1000)).toBeNull();
  expect(why(101, 1000)).toContain("limit is 100");
});

test("a number of deletions that a project names holds where its share would let them go, and an approval goes beyond it", () => {
  const why = (deletions: number, approvedDeletions: number | null = null) =>
    whyHeld({
      held: { deletions, entries: 100_000, examples: [], directories: [] },
      limits: { wallClockSeconds: 1, stallSeconds: 1, maxDeletePercent: 10, approvedDeletions },
      options: { maxDelete: 5 },
    });
  expect(why(5)).toBeNull();
  expect(why(6)).toMatch(
    /6 of 100000 files .* limit is 5\. .* raise the project's rsync\.maxDelete/,
  );
  expect(why(6, 6)).toBeNull();
});

/** A small Debian-like repository with a by-hash directory. */
async function fillRepository(tree: string, { revision }: { revision: string }) {
  await mkdir(join(tree, "dists/sid/by-hash/SHA256"), { recursive: true });
  await mkdir(join(tree, "pool"), { recursive: true });
  await writeFile(join(tree, "dists/sid/InRelease"), revision);
  await writeFile(join(tree, "dists/sid/Packages.gz"), revision);
  await writeFile(join(tree, `dists/sid/by-hash/SHA256/${revision}`), revision);
  await writeFile(join(tree, `pool/package-${revision}.deb`), revision);
}

const order = (lines: string[], name: string) => lines.findIndex((line) => line.includes(name));

test("indexes come after all that they name, and the tree comes out exact", async () => {
  const source = await startSource();
  await fillRepository(source.tree, { revision: "one" });
  const lines: string[] = [];
  const options = { indexesLast: "debian" as const };
  expect(await pull(source, { options, lines })).toMatchObject({
    outcome: "ok",
    stats: { transferred: 4 },
  });
  expect(order(lines, "package-one.deb")).toBeGreaterThan(-1);
  expect(order(lines, "SHA256/one")).toBeLessThan(order(lines, "InRelease"));
  expect(order(lines, "package-one.deb")).toBeLessThan(order(lines, "InRelease"));
  expect(order(lines, "package-one.deb")).toBeLessThan(order(lines, "Packages.gz"));
  await fillRepository(source.tree, { revision: "second" });
  await rm(join(source.tree, "pool/package-one.deb"));
  const again: string[] = [];
  expect(await pull(source, { options, lines: again })).toMatchObject({ outcome: "ok" });
  expect(order(again, "InRelease")).toBeLessThan(order(again, "*deleting"));
  expect(
    (await compareTrees({ expected: source.tree, actual: source.destination })).differences,
  ).toEqual([]);
});

test("where what indexes name did not all come, they do not come either", async () => {
  const source = await startSource();
  const options = { indexPatterns: ["*.index"] };
  await writeFile(join(source.tree, "a.index"), "one");
  await writeFile(join(source.tree, "payload"), "one");
  await pull(source, { options });
  await writeFile(join(source.tree, "a.index"), "two, longer");
  await writeFile(join(source.tree, "payload"), Buffer.alloc(4 * 1024 * 1024));
  const result = await pull(source, {
    options: { ...options, bandwidthKiBps: 256 },
    limits: { wallClockSeconds: 2 },
  });
  expect(result).toMatchObject({ outcome: "timeout" });
  expect(await readFile(join(source.destination, "a.index"), "utf8")).toBe("one");
});

test("a directory that became a file does not keep the indexes back for ever, and passes the deletion guard", async () => {
  const source = await startSource();
  const options = { indexesLast: "debian" as const };
  await fill(join(source.tree, "pool"), { files: 200 });
  await fill(join(source.tree, "directory"), { files: 5 });
  await writeFile(join(source.tree, "Release"), "one");
  await pull(source, { options });
  await rm(join(source.tree, "directory"), { recursive: true });
  await writeFile(join(source.tree, "directory"), "now a file");
  await writeFile(join(source.tree, "Release"), "two, longer");
  expect(await pull(source, { options })).toMatchObject({ outcome: "ok" });
  expect(
    (await compareTrees({ expected: source.tree, actual: source.destination })).differences,
  ).toEqual([]);
});
