import { once } from "node:events";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { connect } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { compareTrees } from "../../demo/compare.ts";
import { startUpstream } from "../../demo/fleet.ts";
import { freePort, type Program, stopPrograms } from "../../demo/processes.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { joinAgent, killHard, startControlPlaneProgram, until } from "../helpers/programs.ts";

/** Command lines of the processes that an agent with this state directory started. */
async function startedBy(stateDir: string): Promise<string[]> {
  const mark = `MIRRORFLEET_STARTED_BY=${stateDir}`;
  const found: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const read = (name: string) => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
    if ((await read("environ")).split("\0").includes(mark)) found.push(await read("cmdline"));
  }
  return found;
}

async function makeFleet() {
  const directory = await temporaryDirectory();
  await chmod(directory, 0o711);
  const tree = join(directory, "upstream");
  await mkdir(tree);
  await writeFile(join(tree, "first"), "first");
  const track = (program: Program) => onTestFinished(() => stopPrograms([program]));
  const url = await startUpstream({ directory, track }, { tree });
  const controlPlane = await startControlPlaneProgram({ directory });
  const { client } = controlPlane;
  const port = await freePort();
  const env = { MIRRORFLEET_DAEMON_PORT: String(port) };
  const master = await joinAgent(controlPlane, { directory, host: "master", source: url, env });
  const source = `rsync://127.0.0.1:${port}/`;
  const ftp = await joinAgent(controlPlane, { directory, host: "ftp1", source });
  await client.createProject({ name: "debian", upstream: url });
  /** Syncs a change; answers the log of the FTP host. */
  const sync = async (change: string) => {
    await writeFile(join(tree, change), change);
    const { id } = await client.syncProject("debian");
    const run = await until(`the run for ${change} has succeeded`, async () => {
      const seen = await client.getRun(id);
      return seen.state === "succeeded" ? seen : null;
    });
    const actual = join(ftp.root, "debian");
    expect((await compareTrees({ expected: tree, actual })).differences).toEqual([]);
    const task = run.tasks.find(({ host }) => host === "ftp1")!;
    return text(await client.openTaskLog(task.id));
  };
  const daemonKey = async () => (await client.getHost("master")).daemon!.keySha256;
  return { master, ftp, port, sync, daemonKey };
}

test("a fleet syncs through TLS, after its master has joined anew, too, and by plain rsync where the master is set so", async () => {
  const { master, ftp, port, sync, daemonKey } = await makeFleet();
  let agent = master.run();
  ftp.run();
  expect(await sync("second")).toContain(`rsyncs://ftp1@127.0.0.1:${port}/mirror/debian/`);
  const first = await daemonKey();
  expect(first).toMatch(/^[0-9a-f]{64}$/);

  await stopPrograms([agent]);
  await master.rejoin();
  agent = master.run();
  await sync("third");
  const second = await daemonKey();
  expect(second).toMatch(/^[0-9a-f]{64}$/);
  expect(second).not.toBe(first);

  await stopPrograms([agent]);
  master.run({ MIRRORFLEET_DAEMON_TLS: "no" });
  await sync("fourth");
  expect(await daemonKey()).toBeNull();
});

test("a master's agent that is killed leaves neither its TLS end nor an rsync of it behind", async () => {
  const { master, ftp, port, sync } = await makeFleet();
  const agent = master.run();
  ftp.run();
  await sync("second");
  // A client in the middle of a conversation.
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  socket.on("error", () => undefined).write("@RSYNCD: 31.0\nmirror\n");
  await once(socket, "data");
  const running = await startedBy(master.stateDir);
  expect(running.some((line) => line.includes("_tls-end"))).toBe(true);
  expect(running.some((line) => line.includes("--server"))).toBe(true);
  await killHard(agent);
  await until(
    "all that it started is gone",
    async () => (await startedBy(master.stateDir)).length === 0,
  );
});
