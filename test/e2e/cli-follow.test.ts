import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { startTcpProxy } from "../../chaos/tcp-proxy.ts";
import { startUpstream } from "../../demo/fleet.ts";
import { freePort, type Program, stopPrograms } from "../../demo/processes.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { joinAgent, startControlPlaneProgram, until } from "../helpers/programs.ts";

const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

/** Starts the real command line, and keeps what it says. */
function start(args: string[], { url, token }: { url: string; token: string }) {
  const child: ChildProcess = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env["PATH"], MIRRORFLEET_URL: url, MIRRORFLEET_TOKEN: token },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const said = { stdout: "", stderr: "" };
  child.stdout!.on("data", (bytes: Buffer) => void (said.stdout += bytes));
  child.stderr!.on("data", (bytes: Buffer) => void (said.stderr += bytes));
  const ended = once(child, "close").then(([status]) => ({ status: status as number, ...said }));
  return { child, said, ended };
}

/** A control plane with a master, an upstream of `megabytes`, and a proxy that can be taken away. */
async function makeFleet({ megabytes = 0 } = {}) {
  const directory = await temporaryDirectory();
  const controlPlane = await startControlPlaneProgram({ directory });
  const tree = join(directory, "upstream");
  await mkdir(tree);
  for (let index = 0; index < megabytes; index++)
    await writeFile(join(tree, `file-${index}`), randomBytes(1024 * 1024));
  const track = (started: Program) => onTestFinished(() => stopPrograms([started]));
  const upstream = await startUpstream({ directory, track }, { tree });
  const env = { MIRRORFLEET_DAEMON_PORT: String(await freePort()) };
  const host = { directory, host: "master", source: upstream, env };
  const master = await joinAgent(controlPlane, host);
  master.run();
  return { controlPlane, upstream };
}

test("who follows a sync, a log or the status sees it through a lost connection, and each line of the log once", async () => {
  const { controlPlane, upstream } = await makeFleet({ megabytes: 30 });
  const { client, token, url } = controlPlane;
  const port = Number(new URL(url).port);
  let away = false;
  const proxy = await startTcpProxy({
    target: () => ({ host: "127.0.0.1", port: away ? 1 : port }),
  });
  onTestFinished(proxy.close);
  const through = { url: `http://127.0.0.1:${proxy.port}`, token };
  await client.createProject({ name: "debian", upstream, rsync: { bandwidthKiBps: 256 } });
  const sync = start(["project", "sync", "debian", "--follow"], through);
  const task = await until("it is syncing", async () => {
    const { items } = await client.listTasks();
    return items.find(({ state }) => state === "leased");
  });
  const log = start(["logs", task.id, "--follow"], through);
  const status = start(["status", "--watch"], through);
  const all = [sync, log, status];
  await until("all of them look", () =>
    all.every(({ said }) => said.stdout !== "" || said.stderr !== ""),
  );
  const each = (words: string, times: number) => () =>
    all.every(({ said }) => said.stderr.split(words).length > times);
  for (const times of [1, 2]) {
    away = true;
    proxy.cut();
    await until("all of them noticed", each("trying again", times));
    away = false;
    await until("all of them are back", each("connected again", times));
  }
  await client.cancelRun(task.runId);
  expect(await sync.ended).toMatchObject({ status: 1 });
  const { status: ended, stdout } = await log.ended;
  expect(ended).toBe(0);
  expect(stdout).toContain("cancelled by an operator");
  expect(stdout).toBe(await text(await client.openTaskLog(task.id)));
  expect(status.said.stdout.split("fleet paused").length).toBeGreaterThan(3);
});

test("a log is followed through a task's attempts to the last", async () => {
  const { controlPlane, upstream } = await makeFleet();
  const { client } = controlPlane;
  await client.createProject({
    name: "debian",
    upstream: `${upstream}missing/`,
    // Time for the command line to start, on a busy machine, too: it follows from the attempt that it finds.
    retrySeconds: 6,
    maxAttempts: 3,
  });
  const { tasks } = await client.syncProject("debian");
  const { status, stdout, stderr } = await start(["logs", tasks[0]!.id, "-f"], controlPlane).ended;
  expect([status, stderr]).toEqual([0, ""]);
  expect(stdout.match(/^rsync:\S+missing\S* to \//gm)).toHaveLength(3);
  const task = await client.getTask(tasks[0]!.id);
  expect(task).toMatchObject({ state: "failed", attempt: 3 });
});
