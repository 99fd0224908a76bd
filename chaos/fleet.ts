import { randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort, runProgram } from "../demo/processes.ts";
import { type Client, createClient } from "../protocol/client.ts";
import { type Database, startDatabase } from "./database.ts";
import { type Exchange, type HttpProxy, startHttpProxy } from "./http-proxy.ts";
import { now } from "./history.ts";
import { installJournal } from "./journal.ts";
import type { Random } from "./random.ts";
import { type Service, supervise } from "./service.ts";
import { type SpoolWatch, watchSpool } from "./spool-watch.ts";
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.ts";

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const hook = (name: string) => ["--import", file(`./hooks/${name}.ts`)];

export const sabotages = ["fence", "lock", "spool"] as const;
export type Sabotage = (typeof sabotages)[number];

type ControlPlane = {
  service: Service;
  /** Its link to the database. */
  link: TcpProxy;
  clock: string;
};

export type Host = {
  name: string;
  service: Service;
  /** Its link to the control planes. */
  link: HttpProxy;
  clock: string;
  stateDir: string;
  root: string;
  /** What the wrapper of its rsyncs writes. */
  rsyncs: string;
  spool: SpoolWatch;
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

type Ctx = {
  directory: string;
  random: Random;
  sabotage: Sabotage | null;
  note: (what: string) => void;
  record: (host: string, exchange: Exchange) => void;
  /** Ends what has been started, last first. */
  onEnd: (end: () => Promise<unknown>) => void;
};

/** A file that a program's clock follows; see hooks/clock.ts. */
async function makeClock(path: string): Promise<string> {
  await writeFile(path, "0");
  return path;
}

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

async function untilReady(url: string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const ready = await fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) return;
    await sleep(100);
  }
  throw new Error(`${url} did not become ready within a minute`);
}

async function writeWrapper({
  directory,
  log,
}: {
  directory: string;
  log: string;
}): Promise<string> {
  const places = join(directory, "places");
  await mkdir(places);
  const path = join(directory, "rsync");
  const text = await readFile(file("./rsync-wrapper.sh"), "utf8");
  await writeFile(path, text.replaceAll("@places@", places).replaceAll("@log@", log));
  await chmod(path, 0o755);
  await writeFile(log, "");
  return path;
}

async function startHost(
  ctx: Ctx,
  {
    name,
    fleet,
    ports,
    daemonPort,
    source,
  }: {
    name: string;
    fleet: Pick<Fleet, "client">;
    ports: number[];
    daemonPort: number;
    source: string;
  },
): Promise<Host> {
  const directory = join(ctx.directory, name);
  const [root, stateDir] = [join(directory, "mirror"), join(directory, "state")];
  await mkdir(root, { recursive: true });
  const rsyncs = join(directory, "rsyncs");
  const link = await startHttpProxy(
    { random: ctx.random, now, record: (exchange) => ctx.record(name, exchange) },
    { ports },
  );
  ctx.onEnd(link.close);
  const { enrolment } = await fleet.client.createHost({
    name,
    roles: [name === "master" ? "master" : "ftp"],
    addresses: ["127.0.0.1"],
  });
  const clock = await makeClock(join(directory, "clock"));
  const tokenFile = join(directory, "enrolment-token");
  await writeFile(tokenFile, enrolment.token, { mode: 0o600 });
  const program = {
    name,
    command: process.execPath,
    env: {
      CHAOS_CLOCK: clock,
      MIRRORFLEET_CONTROL_PLANE: link.url,
      MIRRORFLEET_STATE_DIR: stateDir,
      MIRRORFLEET_MIRROR_ROOTS: root,
      MIRRORFLEET_SOURCES: source,
      MIRRORFLEET_DAEMON_PORT: String(daemonPort),
      MIRRORFLEET_DAEMON_ADDRESS: "127.0.0.1",
      MIRRORFLEET_RSYNC: await writeWrapper({ directory, log: rsyncs }),
    },
    logFile: join(directory, "agent.log"),
  };
  const agent = file("../agent/main.ts");
  const joined = await runProgram({
    ...program,
    args: [agent, "join", "--token-file", tokenFile],
    track: () => undefined,
  });
  if (joined !== 0) throw new Error(await readFile(program.logFile, "utf8"));
  const service = supervise(ctx, {
    ...program,
    args: [
      ...hook("clock"),
      ...(ctx.sabotage === "lock" ? hook("without-lock") : []),
      ...(ctx.sabotage === "spool" ? hook("without-spool") : []),
      agent,
      "run",
    ],
  });
  ctx.onEnd(service.stop);
  return {
    name,
    service,
    link,
    clock,
    stateDir,
    root,
    rsyncs,
    spool: watchSpool({ host: name, stateDir }),
  };
}

/** Starts a fleet of real programs, each link of which can be disturbed. */
export async function startFleet(
  ctx: Ctx,
  { controlPlanes: count, ftpHosts }: { controlPlanes: number; ftpHosts: number },
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
    await untilReady(`http://127.0.0.1:${port}`);
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
  for (const name of ["master", ...Array.from({ length: ftpHosts }, (_, at) => `ftp${at + 1}`)])
    hosts.push(
      await startHost(ctx, {
        name,
        fleet: { client },
        ports,
        daemonPort,
        source: name === "master" ? upstream.url : `rsync://127.0.0.1:${daemonPort}/`,
      }),
    );
  return { directory, database, controlPlanes, hosts, upstream, operators, client, token };
}
