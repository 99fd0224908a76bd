import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { compareTrees } from "../../demo/compare.ts";
import { startUpstream } from "../../demo/fleet.ts";
import { freePort, type Program, stopPrograms } from "../../demo/processes.ts";
import type { Client } from "../../protocol/client.ts";
import { createTestDatabase } from "../helpers/database.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import {
  exitOf,
  joinAgent,
  killHard,
  startControlPlaneProgram,
  until,
} from "../helpers/programs.ts";

/** A tree of an upstream, and a daemon that serves it. */
async function makeUpstream(directory: string, { megabytes = 1 } = {}) {
  const tree = join(directory, "upstream");
  await mkdir(join(tree, "pool"), { recursive: true });
  for (let index = 0; index < megabytes; index++)
    await writeFile(join(tree, "pool", `file-${index}`), randomBytes(1024 * 1024));
  const track = (program: Program) => onTestFinished(() => stopPrograms([program]));
  const url = await startUpstream({ directory, track }, { tree });
  return { tree, url };
}

async function makePlace() {
  const directory = await temporaryDirectory();
  // The embedded database's user passes through, where root runs the tests.
  await chmod(directory, 0o711);
  return directory;
}

const runOf = (client: Client, id: string, state: string) =>
  until(`the run has ${state}`, async () => {
    const run = await client.getRun(id);
    return run.state === state ? run : null;
  });

const rsyncsOn = (directory: string) =>
  execFileSync("ps", ["-eo", "pid,args"], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes("rsync --") && line.includes(`${directory}/`));

test("two control planes on one database: the agents poll one, the operator talks to the other", async () => {
  const directory = await makePlace();
  const database = await createTestDatabase({ migrated: false });
  const { host, user, database: name } = database.connection;
  const env = {
    DATABASE_URL: `postgres://${user}@localhost/${name}?host=${host}`,
    MIRRORFLEET_SECRET: randomBytes(32).toString("base64"),
  };
  // Both at once, on an empty database: one migrates, the other waits for it.
  const [left, right] = await Promise.all([
    startControlPlaneProgram({ directory, name: "left", env }),
    startControlPlaneProgram({ directory, name: "right", env }),
  ]);
  const { tree, url } = await makeUpstream(directory);
  const port = await freePort();
  const daemon = { MIRRORFLEET_DAEMON_PORT: String(port) };
  const master = await joinAgent(left, { directory, host: "master", source: url, env: daemon });
  const ftp = await joinAgent(right, {
    directory,
    host: "ftp1",
    source: `rsync://127.0.0.1:${port}/`,
  });
  master.run();
  ftp.run();
  await right.client.createProject({ name: "debian", upstream: url });
  const run = await right.client.syncProject("debian");
  await runOf(right.client, run.id, "succeeded");
  expect(
    (await compareTrees({ expected: tree, actual: join(ftp.root, "debian") })).differences,
  ).toEqual([]);
  const { rsyncVersion, disks, clockSkewSeconds } = await right.client.getHost("ftp1");
  expect([rsyncVersion, disks.map(({ path }) => path)]).toEqual([
    expect.stringMatching(/^3\./),
    [ftp.root],
  ]);
  expect(Math.abs(clockSkewSeconds!)).toBeLessThan(5);
  expect((await right.client.getProject("debian")).replicas.map(({ stale }) => stale)).toEqual([
    false,
    false,
  ]);
  // One dies in mid-poll: the other carries on with what both knew.
  await killHard(left.program);
  expect((await right.client.getRun(run.id)).state).toBe("succeeded");
  await stopPrograms([right.program]);
  await database.drop();
});

test("FTP hosts pull by change lists, do nothing where nothing changed, and scan when a list is damaged", async () => {
  const directory = await makePlace();
  const controlPlane = await startControlPlaneProgram({ directory });
  const { client } = controlPlane;
  const { tree, url } = await makeUpstream(directory, { megabytes: 3 });
  const port = await freePort();
  const env = { MIRRORFLEET_DAEMON_PORT: String(port) };
  const master = await joinAgent(controlPlane, { directory, host: "master", source: url, env });
  const source = `rsync://127.0.0.1:${port}/`;
  const ftp = await joinAgent(controlPlane, { directory, host: "ftp1", source });
  master.run();
  const agent = ftp.run();
  await client.createProject({ name: "debian", upstream: url });
  const sync = async () => {
    const { id } = await client.syncProject("debian");
    const { tasks } = await runOf(client, id, "succeeded");
    const { differences } = await compareTrees({
      expected: tree,
      actual: join(ftp.root, "debian"),
    });
    expect(differences).toEqual([]);
    return tasks.find(({ host }) => host === "ftp1")?.result;
  };
  expect(await sync()).toMatchObject({ scanned: true });
  await writeFile(join(tree, "new"), "content");
  await rm(join(tree, "pool/file-0"));
  expect(await sync()).toMatchObject({ scanned: false, message: "by change list 2" });
  expect(await sync()).toBeUndefined();

  await writeFile(join(tree, "new"), "other content");
  await stopPrograms([agent]);
  const run = await client.syncProject("debian");
  await until("the master has pulled", async () =>
    (await client.getRun(run.id)).tasks.some(
      ({ role, state }) => role === "master" && state === "succeeded",
    ),
  );
  await writeFile(join(master.stateDir, "lists/debian/3"), "not what was published");
  ftp.run();
  await runOf(client, run.id, "succeeded");
  const log = await text(await client.openTaskLog((await client.getRun(run.id)).tasks[1]!.id));
  expect(log).toContain("change list 3 is not the one that was published: scanning the whole tree");
  await writeFile(join(tree, "third"), "more");
  expect(await sync()).toMatchObject({ message: "by change list 4" });
});

test("while the control plane is away rsync goes on, and its result is delivered afterwards", async () => {
  const directory = await makePlace();
  const port = await freePort();
  let controlPlane = await startControlPlaneProgram({ directory, port });
  const { tree, url } = await makeUpstream(directory, { megabytes: 12 });
  const daemon = { MIRRORFLEET_DAEMON_PORT: String(await freePort()) };
  const master = await joinAgent(controlPlane, {
    directory,
    host: "master",
    source: url,
    env: daemon,
  });
  master.run();
  await controlPlane.client.createProject({
    name: "debian",
    upstream: url,
    hosts: [],
    rsync: { bandwidthKiBps: 4096 },
  });
  const { id } = await controlPlane.client.syncProject("debian");
  await until("rsync is at work", () => rsyncsOn(master.root).length > 0);
  await killHard(controlPlane.program);
  await until("rsync has ended", () => rsyncsOn(master.root).length === 0);
  expect(
    (await compareTrees({ expected: tree, actual: join(master.root, "debian") })).differences,
  ).toEqual([]);
  expect(await readdir(join(master.stateDir, "spool"))).toHaveLength(1);
  controlPlane = await startControlPlaneProgram({ directory, port, name: "control-plane-again" });
  const run = await runOf(controlPlane.client, id, "succeeded");
  expect(run.tasks).toMatchObject([{ attempt: 1, result: { outcome: "ok" } }]);
  await until(
    "the spool is empty",
    async () => (await readdir(join(master.stateDir, "spool"))).length === 0,
  );
});

test("an agent that was killed reports its attempt as interrupted when it is back, and tries again", async () => {
  const directory = await makePlace();
  const controlPlane = await startControlPlaneProgram({ directory });
  const { tree, url } = await makeUpstream(directory, { megabytes: 6 });
  const daemon = { MIRRORFLEET_DAEMON_PORT: String(await freePort()) };
  const master = await joinAgent(controlPlane, {
    directory,
    host: "master",
    source: url,
    env: daemon,
  });
  const first = master.run();
  await controlPlane.client.createProject({
    name: "debian",
    upstream: url,
    hosts: [],
    rsync: { bandwidthKiBps: 2048 },
  });
  const { id } = await controlPlane.client.syncProject("debian");
  await until("rsync is at work", () => rsyncsOn(master.root).length > 0);
  await killHard(first);
  const left = rsyncsOn(directory).filter((line) => !line.includes("upstream.conf"));
  expect(left.length).toBeGreaterThan(0);
  master.run();
  await until("the new agent has ended what was left", async () =>
    (await master.log()).includes("rsync processes that an agent before this one left"),
  );
  const pids = new Set(left.map((line) => line.trim().split(" ")[0]));
  expect(rsyncsOn(directory).filter((line) => pids.has(line.trim().split(" ")[0]))).toEqual([]);
  const run = await runOf(controlPlane.client, id, "succeeded");
  expect(run.tasks).toMatchObject([{ attempt: 2, result: { outcome: "ok" } }]);
  expect(
    (await compareTrees({ expected: tree, actual: join(master.root, "debian") })).differences,
  ).toEqual([]);
});

test("SIGTERM ends an agent with its rsync and its daemon, and the attempt is reported before it goes", async () => {
  const directory = await makePlace();
  const controlPlane = await startControlPlaneProgram({ directory });
  const { url } = await makeUpstream(directory, { megabytes: 6 });
  const daemon = { MIRRORFLEET_DAEMON_PORT: String(await freePort()) };
  const master = await joinAgent(controlPlane, {
    directory,
    host: "master",
    source: url,
    env: daemon,
  });
  const agent = master.run();
  await controlPlane.client.createProject({
    name: "debian",
    upstream: url,
    hosts: [],
    rsync: { bandwidthKiBps: 1024 },
  });
  const { id } = await controlPlane.client.syncProject("debian");
  await until("rsync is at work", () => rsyncsOn(master.root).length > 0);
  agent.child.kill("SIGTERM");
  expect(await exitOf(agent)).toBe(0);
  expect(rsyncsOn(directory).filter((line) => !line.includes("upstream.conf"))).toEqual([]);
  const { tasks } = await controlPlane.client.getRun(id);
  expect(tasks).toMatchObject([
    { state: "queued", attempt: 1, result: { outcome: "interrupted" } },
  ]);
  expect(await readdir(join(master.stateDir, "spool"))).toEqual([]);
});

test("a second SIGTERM leaves what cannot be delivered to the next start, and that delivers it", async () => {
  const directory = await makePlace();
  const port = await freePort();
  const controlPlane = await startControlPlaneProgram({ directory, port });
  const { url } = await makeUpstream(directory, { megabytes: 6 });
  const env = { MIRRORFLEET_DAEMON_PORT: String(await freePort()) };
  const master = await joinAgent(controlPlane, { directory, host: "master", source: url, env });
  const agent = master.run();
  const rsync = { bandwidthKiBps: 1024 };
  await controlPlane.client.createProject({ name: "debian", upstream: url, hosts: [], rsync });
  const { id } = await controlPlane.client.syncProject("debian");
  await until("rsync is at work", () => rsyncsOn(master.root).length > 0);
  await killHard(controlPlane.program);
  agent.child.kill("SIGTERM");
  await until("it tries to deliver", async () => (await master.log()).includes("cannot deliver"));
  agent.child.kill("SIGTERM");
  expect(await exitOf(agent)).toBe(0);
  expect(rsyncsOn(master.root)).toEqual([]);
  expect(await readdir(join(master.stateDir, "spool"))).toHaveLength(1);
  const again = await startControlPlaneProgram({ directory, port, name: "control-plane-again" });
  master.run();
  await until("the attempt is known", async () => {
    const [task] = (await again.client.getRun(id)).tasks;
    const { attempts } = await again.client.getTask(task!.id);
    return attempts[0]?.result?.outcome === "interrupted";
  });
});

test("a revoked agent ends with status 78, says why, and its host can join again", async () => {
  const directory = await makePlace();
  const controlPlane = await startControlPlaneProgram({ directory });
  const ftp = await joinAgent(controlPlane, { directory, host: "ftp1", source: "rsync://*" });
  const agent = ftp.run();
  await until("the agent polls", async () => (await ftp.log()).includes("polls"));
  const revoked = await fetch(`${controlPlane.url}/v1/hosts/ftp1/revoke`, {
    method: "POST",
    headers: { authorization: `Bearer ${controlPlane.token}` },
  });
  expect(revoked.status).toBe(200);
  expect(await exitOf(agent)).toBe(78);
  expect(await ftp.log()).toContain("revoked");
});

test("a second agent on the same state directory is refused", async () => {
  const directory = await makePlace();
  const controlPlane = await startControlPlaneProgram({ directory });
  const ftp = await joinAgent(controlPlane, { directory, host: "ftp1", source: "rsync://*" });
  ftp.run();
  await until("the agent polls", async () => (await ftp.log()).includes("polls"));
  expect(await exitOf(ftp.run())).toBe(1);
  expect(await ftp.log()).toContain("another agent runs with the state directory");
});
