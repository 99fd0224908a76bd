import { randomBytes, randomUUID } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { startUpstream } from "../../demo/fleet.ts";
import { freePort, type Program, stopPrograms } from "../../demo/processes.ts";
import { type Client, createClient } from "../../protocol/client.ts";
import { createTestDatabase, type TestConnection } from "../helpers/database.ts";
import { temporaryDirectory } from "../helpers/postgres.ts";
import {
  type ControlPlaneProgram,
  exitOf,
  joinAgent,
  killHard,
  startControlPlaneProgram,
  until,
} from "../helpers/programs.ts";
import { noNginx, noPgBouncer, startNginx, startPgBouncer } from "../helpers/proxies.ts";

const socketUrl = ({ user, database, host }: TestConnection) =>
  `postgres://${user}@localhost/${database}?host=${host}`;

async function makeDatabase() {
  const { connection, drop } = await createTestDatabase({ migrated: false });
  onTestFinished(drop);
  return connection;
}

async function makeUpstream(directory: string) {
  const tree = join(directory, "upstream");
  await mkdir(tree);
  await writeFile(join(tree, "file"), "first\n");
  const track = (program: Program) => onTestFinished(() => stopPrograms([program]));
  return { tree, url: await startUpstream({ directory, track }, { tree }) };
}

/** Two control planes, each of which can be started again, and nginx in front of them. */
async function startReplicas(directory: string) {
  const env = {
    DATABASE_URL: socketUrl(await makeDatabase()),
    MIRRORFLEET_SECRET: randomBytes(32).toString("base64"),
  };
  const ports = [await freePort(), await freePort()] as const;
  let starts = 0;
  const startOne = (port: number) =>
    startControlPlaneProgram({ directory, name: `control-plane-${++starts}`, port, env });
  const replicas = [await startOne(ports[0]), await startOne(ports[1])];
  const url = await startNginx({ directory, controlPlanes: [...ports] });
  const { token } = replicas[0]!;
  return {
    url,
    token,
    client: createClient({ url, token }),
    /** Ends one and starts it again. */
    restart: async (index: 0 | 1, end: (replica: ControlPlaneProgram) => Promise<unknown>) => {
      await end(replicas[index]!);
      return async () => {
        replicas[index] = await startOne(ports[index]);
      };
    },
  };
}

const ended = (client: Client, { id }: { id: string }) =>
  until("the run has ended", async () => {
    const run = await client.getRun(id);
    return run.finishedAt === null ? null : run;
  });

test("behind nginx a control plane is killed in mid-poll, then the other: agents and operators go on", async ({
  skip,
}) => {
  const why = noNginx();
  skip(why !== null, why ?? "");
  const directory = await temporaryDirectory();
  const { url, client, restart } = await startReplicas(directory);
  const upstream = await makeUpstream(directory);
  const port = await freePort();
  const master = await joinAgent(
    { client, url },
    {
      directory,
      host: "master",
      source: upstream.url,
      env: { MIRRORFLEET_DAEMON_PORT: String(port) },
    },
  );
  master.run();
  await client.createProject({ name: "debian", upstream: upstream.url });
  expect(await ended(client, await client.syncProject("debian"))).toMatchObject({
    state: "succeeded",
  });
  for (const index of [0, 1] as const) {
    const startAgain = await restart(index, ({ program }) => killHard(program));
    await writeFile(join(upstream.tree, "file"), `after the death of ${index}\n`);
    const started = performance.now();
    const run = await client.syncProject("debian");
    expect(await ended(client, run)).toMatchObject({ state: "succeeded" });
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(await readFile(join(master.root, "debian/file"), "utf8")).toContain(String(index));
    await startAgain();
  }
});

test("while control planes behind nginx restart one after the other, no read fails, and each change with a key is done once", async ({
  skip,
}) => {
  const why = noNginx();
  skip(why !== null, why ?? "");
  const { url, token, client, restart } = await startReplicas(await temporaryDirectory());
  const done: string[] = [];
  const failedReads: number[] = [];
  let reads = 0;
  let over = false;
  const headers = { authorization: `Bearer ${token}` };
  const read = async () => {
    for (; !over; reads++) {
      const { status } = await fetch(`${url}/v1/tokens`, { headers });
      if (status !== 200) failedReads.push(status);
      await sleep(5);
    }
  };
  const change = async () => {
    while (!over) {
      const key = randomUUID();
      for (let tries = 0; ; tries++) {
        const { status } = await fetch(`${url}/v1/tokens`, {
          method: "POST",
          headers: { ...headers, "idempotency-key": key, "content-type": "application/json" },
          body: JSON.stringify({ name: key, scope: "viewer" }),
        });
        if (status === 201) break;
        // As nginx answers for one that broke off, and a control plane that is about to end.
        expect([502, 503]).toContain(status);
        expect(tries).toBeLessThan(10);
        await sleep(100);
      }
      done.push(key);
      await sleep(5);
    }
  };
  const load = Promise.all([read(), read(), change(), change()]);
  for (const index of [0, 1] as const) {
    await sleep(300);
    const startAgain = await restart(index, async ({ program }) => {
      program.child.kill("SIGTERM");
      expect(await exitOf(program)).toBe(0);
    });
    await startAgain();
  }
  over = true;
  await load;
  expect(reads).toBeGreaterThan(50);
  expect(failedReads).toEqual([]);
  const kept = (await client.listTokens()).map(({ name }) => name);
  expect(done.filter((key) => kept.filter((name) => name === key).length !== 1)).toEqual([]);
});

test("behind PgBouncer in transaction mode a control plane works, and held polls look for work by themselves", async ({
  skip,
}) => {
  const why = noPgBouncer();
  skip(why !== null, why ?? "");
  const directory = await temporaryDirectory({ mode: 0o755 });
  const env = {
    DATABASE_URL: await startPgBouncer(await makeDatabase(), { directory }),
    MIRRORFLEET_SECRET: randomBytes(32).toString("base64"),
  };
  const controlPlane = await startControlPlaneProgram({ directory, env });
  const { client, logFile } = controlPlane;
  const upstream = await makeUpstream(directory);
  const master = await joinAgent(controlPlane, {
    directory,
    host: "master",
    source: upstream.url,
    env: { MIRRORFLEET_DAEMON_PORT: String(await freePort()) },
  });
  master.run();
  await client.createProject({ name: "debian", upstream: upstream.url });
  await until("the control plane says that it hears nothing", async () =>
    (await readFile(logFile, "utf8")).includes("no notifications come"),
  );
  for (let round = 0; round < 2; round++) {
    const started = performance.now();
    const run = await client.syncProject("debian");
    expect(await ended(client, run)).toMatchObject({ state: "succeeded" });
    // A poll is held for 25 seconds.
    expect(performance.now() - started).toBeLessThan(12_000);
  }
});
