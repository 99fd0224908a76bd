import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../demo/processes.ts";
import { type Client, createClient } from "../protocol/client.ts";
import { type Database, startDatabase } from "./database.ts";
import { type Host, startHost } from "./host.ts";
import { type HttpProxy, startHttpProxy } from "./http-proxy.ts";
import { now } from "./history.ts";
import { installJournal } from "./journal.ts";
import { type Ctx, file, hook, makeClock } from "./programs.ts";
import { type Service, supervise } from "./service.ts";
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.ts";

type ControlPlane = {
  service: Service;
  /** Its link to the database. */
  link: TcpProxy;
  clock: string;
};

export type Fleet = {
  directory: string;
  database: Database;
  controlPlanes: ControlPlane[];
  hosts: Host[];
  upstream: { tree: string; url: string; service: Service; link: TcpProxy };
  /** The operators' link to the control planes. */
  operators: HttpProxy;
  /** Past every fault. */
  client: Client;
  token: string;
};

async function startUpstream(ctx: Ctx): Promise<Fleet["upstream"]> {
  const port = await freePort();
  const tree = join(ctx.directory, "upstream");
  await mkdir(tree);
  const config = join(ctx.directory, "upstream.conf");
  const owner = process.getuid?.() === 0 ? "uid = root\ngid = root\n" : "";
  await writeFile(
    config,
    `address = 127.0.0.1\nport = ${port}\nuse chroot = no\n${owner}[upstream]\npath = ${tree}\nread only = yes\n`,
  );
  const service = supervise(ctx, {
    name: "upstream",
    command: "rsync",
    args: ["--daemon", "--no-detach", `--config=${config}`],
    env: {},
    logFile: join(ctx.directory, "upstream.log"),
  });
  ctx.onEnd(service.stop);
  const link = await startTcpProxy({ target: () => ({ host: "127.0.0.1", port }) });
  ctx.onEnd(link.close);
  return { tree, service, link, url: `rsync://127.0.0.1:${link.port}/upstream/` };
}

async function startControlPlane(
  ctx: Ctx,
  {
    index,
    port,
    database,
    secret,
  }: { index: number; port: number; database: Database; secret: string },
): Promise<ControlPlane> {
  const name = `control-plane-${index}`;
  const link = await startTcpProxy({ target: database.socket });
  ctx.onEnd(link.close);
  const clock = await makeClock(join(ctx.directory, `${name}.clock`));
  const service = supervise(ctx, {
    name,
    command: process.execPath,
    args: [
      ...hook("clock"),
      ...hook("quick-leases"),
      ...(ctx.sabotage === "fence" ? hook("without-fence") : []),
      file("../control-plane/main.ts"),
    ],
    env: {
      CHAOS_CLOCK: clock,
      DATABASE_URL: `postgres://mirrorfleet@127.0.0.1:${link.port}/mirrorfleet`,
      MIRRORFLEET_DATA: join(ctx.directory, "data"),
      MIRRORFLEET_LISTEN: `127.0.0.1:${port}`,
      MIRRORFLEET_SECRET: secret,
    },
    logFile: join(ctx.directory, `${name}.log`),
  });
  ctx.onEnd(service.stop);
  return { service, link, clock };
}

async function untilReady({ signal }: Ctx, url: string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    signal.throwIfAborted();
    const ready = await fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return;
    await sleep(100);
  }
  throw new Error(`${url} did not become ready within a minute`);
}

/** Starts a fleet of real programs, each link of which can be disturbed. */
export async function startFleet(
  ctx: Ctx,
  { controlPlanes: count, hostNames }: { controlPlanes: number; hostNames: string[] },
): Promise<Fleet> {
  const { directory } = ctx;
  const database = await startDatabase({ directory });
  ctx.onEnd(database.stop);
  const secret = randomBytes(32).toString("base64");
  const ports: number[] = [];
  const controlPlanes: ControlPlane[] = [];
  for (let index = 1; index <= count; index++) {
    const port = await freePort();
    ports.push(port);
    controlPlanes.push(await startControlPlane(ctx, { index, port, database, secret }));
    // The first makes the schema and the admin token.
    await untilReady(ctx, `http://127.0.0.1:${port}`);
  }
  await database.use(installJournal);
  const token = (await readFile(join(directory, "data/admin-token"), "utf8")).trim();
  const upstream = await startUpstream(ctx);
  const calm = await startHttpProxy(
    { random: { ...ctx.random, next: () => 1 }, now, record: () => {} },
    { ports },
  );
  ctx.onEnd(calm.close);
  const client = createClient({ url: calm.url, token });
  const operators = await startHttpProxy({ random: ctx.random, now, record: () => {} }, { ports });
  ctx.onEnd(operators.close);
  const daemonPort = await freePort();
  const hosts: Host[] = [];
  const masterAddress = ctx.machine.network?.gateway ?? "127.0.0.1";
  for (const name of hostNames) {
    ctx.signal.throwIfAborted();
    hosts.push(
      await startHost(ctx, {
        name,
        client,
        ports,
        daemonPort,
        source: name === "master" ? upstream.url : `rsync://${masterAddress}:${daemonPort}/`,
      }),
    );
  }
  return { directory, database, controlPlanes, hosts, upstream, operators, client, token };
}
