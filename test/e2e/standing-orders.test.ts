import { randomBytes } from "node:crypto";
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { compareTrees } from "../../demo/compare.ts";
import { startUpstream } from "../../demo/fleet.ts";
import { freePort, type Program, stopPrograms } from "../../demo/processes.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { joinAgent, killHard, startControlPlaneProgram, until } from "../helpers/programs.ts";

test("while the control plane is dead the hosts follow the schedule, and say what they did when it is back", async () => {
  const directory = await temporaryDirectory();
  await chmod(directory, 0o711);
  const port = await freePort();
  let controlPlane = await startControlPlaneProgram({ directory, port });
  const tree = join(directory, "upstream");
  await mkdir(tree);
  await writeFile(join(tree, "first"), randomBytes(1000));
  const track = (program: Program) => onTestFinished(() => stopPrograms([program]));
  const url = await startUpstream({ directory, track }, { tree });
  const daemonPort = await freePort();
  const env = { MIRRORFLEET_STANDING_AFTER_SECONDS: "3" };
  const master = await joinAgent(controlPlane, {
    directory,
    host: "master",
    source: url,
    env: { ...env, MIRRORFLEET_DAEMON_PORT: String(daemonPort) },
  });
  const source = `rsync://127.0.0.1:${daemonPort}/`;
  const ftp = await joinAgent(controlPlane, { directory, host: "ftp1", source, env });
  const masterProgram = master.run();
  ftp.run();
  await controlPlane.client.createProject({
    name: "debian",
    upstream: url,
    schedule: "*/10 * * * * *",
  });
  const equal = async (root: string) => {
    await mkdir(join(root, "debian"), { recursive: true });
    const compared = await compareTrees({ expected: tree, actual: join(root, "debian") });
    return compared.differences.length === 0;
  };
  await until("the FTP host has the tree", () => equal(ftp.root));
  const ordersOf = (stateDir: string) => join(stateDir, "standing", "orders.json");
  for (const { stateDir } of [master, ftp]) {
    await until("the standing orders are kept", async () => {
      const text = await readFile(ordersOf(stateDir), "utf8").catch(() => "{}");
      return (JSON.parse(text) as { orders?: string[] }).orders?.length === 1;
    });
    expect((await stat(ordersOf(stateDir))).mode & 0o777).toBe(0o600);
  }

  await killHard(controlPlane.program);
  await writeFile(join(tree, "second"), randomBytes(1000));
  // A master that starts anew in the outage knows its orders, and whom its daemon admits.
  await killHard(masterProgram);
  master.run();
  await until("the change has reached the FTP host without a control plane", () => equal(ftp.root));
  const waiting = await readdir(join(ftp.stateDir, "standing", "runs"));
  expect(waiting.length).toBeGreaterThan(0);

  controlPlane = await startControlPlaneProgram({ directory, port, name: "control-plane-again" });
  const { client } = controlPlane;
  for (const { stateDir } of [master, ftp])
    await until("what was done is delivered", async () => {
      const left = await readdir(join(stateDir, "standing", "runs"));
      return left.length === 0;
    });
  const { items } = await client.listRuns({ limit: 200 });
  const standing = items.filter(({ trigger }) => trigger === "standing");
  const details = await Promise.all(standing.map(({ id }) => client.getRun(id)));
  const tasks = details.flatMap((run) => run.tasks);
  const done = tasks.find(({ host, state }) => host === "ftp1" && state === "succeeded");
  expect(done).toBeDefined();
  const log = await fetch(`${controlPlane.url}/v1/tasks/${done!.id}/log`, {
    headers: { authorization: `Bearer ${controlPlane.token}` },
  });
  expect(Buffer.byteLength(await log.text())).toBe(done!.result!.logBytes);

  // Each occurrence has one pull, by the schedule or by the master itself.
  const pulls = new Map<string, number>();
  for (const run of await Promise.all(items.map(({ id }) => client.getRun(id)))) {
    if (run.trigger !== "schedule" && run.trigger !== "standing") continue;
    const begun = run.tasks.filter(({ role, attempt }) => role === "master" && attempt > 0);
    pulls.set(run.scheduledFor, (pulls.get(run.scheduledFor) ?? 0) + begun.length);
  }
  expect([...pulls.values()].filter((count) => count > 1)).toEqual([]);
  expect([...pulls.values()].filter((count) => count === 1).length).toBeGreaterThan(1);

  await writeFile(join(tree, "third"), randomBytes(1000));
  await until("regular runs go on", () => equal(ftp.root));
  const { paused } = await client.pauseFleet({ reason: "test" });
  expect(paused).not.toBeNull();
  await until("a paused fleet has no standing orders", async () => {
    await sleep(200);
    return (await readFile(ordersOf(ftp.stateDir), "utf8")).includes('"orders":[]');
  });
});
