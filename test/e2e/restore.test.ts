import { execFileSync } from "node:child_process";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { compareTrees } from "../../demo/compare.ts";
import { startUpstream } from "../../demo/fleet.ts";
import { freePort, type Program, runProgram, stopPrograms } from "../../demo/processes.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import {
  type ControlPlaneProgram,
  exitOf,
  joinAgent,
  killHard,
  startControlPlaneProgram,
  until,
} from "../helpers/programs.ts";

const track = (program: Program) => onTestFinished(() => stopPrograms([program]));

async function makeDirectory(path: string) {
  await mkdir(path, { recursive: true });
  // The embedded database's user passes through, where root runs the tests.
  await chmod(path, 0o711);
  return path;
}

/** Runs `mirrorfleet-control-plane doctor` on a data directory; answers its status and what it said. */
async function doctor({ directory, url }: { directory: string; url: string }) {
  const logFile = join(directory, "doctor.log");
  await rm(logFile, { force: true });
  const status = await runProgram({
    name: "doctor",
    command: process.execPath,
    args: ["control-plane/main.ts", "doctor"],
    env: {
      MIRRORFLEET_DATA: join(directory, "data"),
      MIRRORFLEET_LISTEN: url.slice("http://".length),
      MIRRORFLEET_LOG_LEVEL: "error",
    },
    logFile,
    track,
  });
  return { status, text: await readFile(logFile, "utf8") };
}

test("restored elsewhere from a copy of before, the same agents go on by themselves, and each tree becomes the upstream's", async () => {
  const directory = await makeDirectory(await temporaryDirectory());
  const port = await freePort();
  let controlPlane: ControlPlaneProgram = await startControlPlaneProgram({ directory, port });
  const tree = await makeDirectory(join(directory, "upstream"));
  for (const name of ["one", "two", "three"]) await writeFile(join(tree, name), name);
  const upstream = await startUpstream({ directory, track }, { tree });
  const daemonPort = await freePort();
  const source = `rsync://127.0.0.1:${daemonPort}/`;
  const env = { MIRRORFLEET_DAEMON_PORT: String(daemonPort) };
  const master = await joinAgent(controlPlane, {
    directory,
    host: "master",
    source: upstream,
    env,
  });
  const ftp1 = await joinAgent(controlPlane, { directory, host: "ftp1", source });
  const ftp2 = await joinAgent(controlPlane, { directory, host: "ftp2", source });
  master.run();
  ftp1.run();
  const second = ftp2.run();
  await controlPlane.client.createProject({ name: "debian", upstream });
  const sync = async (hosts: string[]) => {
    const { client } = controlPlane;
    const { id } = await client.syncProject("debian");
    return until("the hosts have synced", async () => {
      const { tasks } = await client.getRun(id);
      const done = tasks.filter(({ host, state }) => hosts.includes(host) && state === "succeeded");
      return done.length === hosts.length && done.map(({ result }) => result!);
    });
  };
  const differences = async ({ root }: { root: string }) =>
    (await compareTrees({ expected: tree, actual: join(root, "debian") })).differences;
  await sync(["ftp1", "ftp2"]);

  controlPlane.program.child.kill("SIGTERM");
  expect(await exitOf(controlPlane.program)).toBe(0);
  execFileSync("cp", ["-a", join(directory, "data"), join(directory, "backup")]);
  // Beside no control plane, the doctor starts the database for a moment.
  expect(await doctor({ directory, url: controlPlane.url })).toMatchObject({
    status: 0,
    text: expect.stringContaining("is free: no control plane runs there"),
  });
  controlPlane = await startControlPlaneProgram({ directory, port, name: "again" });

  // What happens from here on, the backup does not know: ftp1 has all of it, ftp2 nothing.
  await stopPrograms([second]);
  await writeFile(join(tree, "one"), "changed after the backup");
  await sync(["ftp1"]);
  await rm(join(tree, "two"));
  await sync(["ftp1"]);
  await killHard(controlPlane.program);

  const elsewhere = await makeDirectory(join(directory, "elsewhere"));
  execFileSync("cp", ["-a", join(directory, "backup"), join(elsewhere, "data")]);
  controlPlane = await startControlPlaneProgram({ directory: elsewhere, port });
  ftp2.run();
  // The upstream has not changed, but nobody knows what the hosts have: they compare.
  expect(await sync(["ftp1", "ftp2"])).toMatchObject([{ scanned: true }, { scanned: true }]);
  expect(await differences(ftp1)).toEqual([]);
  expect(await differences(ftp2)).toEqual([]);

  await writeFile(join(tree, "three"), "changed after the restore");
  expect(await sync(["ftp1", "ftp2"])).toMatchObject([
    { scanned: false, message: "by change list 3" },
    { scanned: false, message: "by change list 3" },
  ]);
  expect(await differences(ftp1)).toEqual([]);
  expect(await differences(ftp2)).toEqual([]);
  expect(await doctor({ directory: elsewhere, url: controlPlane.url })).toMatchObject({
    status: 0,
    text: expect.stringMatching(/a control plane answers at[\s\S]*ok {4}notifications/),
  });
  // Without its secret a restored database is of no use, and the doctor says so.
  await rm(join(elsewhere, "data", "secret"));
  expect(await doctor({ directory: elsewhere, url: controlPlane.url })).toMatchObject({
    status: 1,
    text: expect.stringContaining("secret is missing: restore it"),
  });
}, 480_000);
