import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "../demo/processes.ts";
import type { Client } from "../protocol/client.ts";
import type { Cable } from "./cable.ts";
import { now } from "./history.ts";
import { type HttpProxy, startHttpProxy } from "./http-proxy.ts";
import type { HostDisks } from "./machine.ts";
import { type Ctx, file, hook, makeClock } from "./programs.ts";
import { type Service, supervise } from "./service.ts";
import { type SpoolWatch, watchSpool } from "./spool-watch.ts";

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
  /** Its disks, where it has some of its own. */
  disks: HostDisks | null;
  /** What joins it to the others, where it is in a network namespace. */
  cable: Cable | null;
};

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

/** Starts an agent on `127.0.0.1`, or in a network namespace where the machine has one for it. */
export async function startHost(
  ctx: Ctx,
  {
    name,
    client,
    ports,
    daemonPort,
    source,
  }: {
    name: string;
    client: Client;
    ports: number[];
    daemonPort: number;
    source: string;
  },
): Promise<Host> {
  const directory = join(ctx.directory, name);
  // One below: the disks, where there are any, hold what fills them, too.
  const [root, stateDir] = [join(directory, "mirror/tree"), join(directory, "state/agent")];
  await mkdir(root, { recursive: true });
  await mkdir(join(directory, "state"), { recursive: true });
  const { network } = ctx.machine;
  const place = network?.places.get(name);
  const rsyncs = join(directory, "rsyncs");
  const link = await startHttpProxy(
    { random: ctx.random, now, record: (exchange) => ctx.record(name, exchange) },
    { ports, ...(place && network ? { address: network.gateway, tls: network.tls } : {}) },
  );
  ctx.onEnd(link.close);
  const { enrolment } = await client.createHost({
    name,
    roles: [name === "master" ? "master" : "ftp"],
    // Who is outside of all namespaces comes from the gateway to the gateway.
    addresses: place ? [place.address] : network ? [network.gateway] : ["127.0.0.1"],
  });
  const clock = await makeClock(join(directory, "clock"));
  const tokenFile = join(directory, "enrolment-token");
  await writeFile(tokenFile, enrolment.token, { mode: 0o600 });
  const program = {
    name,
    command: place ? "ip" : process.execPath,
    env: {
      ...(place && network ? { NODE_EXTRA_CA_CERTS: network.tls.ca } : {}),
      CHAOS_CLOCK: clock,
      MIRRORFLEET_CONTROL_PLANE: link.url,
      MIRRORFLEET_STATE_DIR: stateDir,
      MIRRORFLEET_MIRROR_ROOTS: root,
      MIRRORFLEET_SOURCES: source,
      MIRRORFLEET_DAEMON_PORT: String(daemonPort),
      MIRRORFLEET_DAEMON_ADDRESS: network?.gateway ?? "127.0.0.1",
      MIRRORFLEET_RSYNC: await writeWrapper({ directory, log: rsyncs }),
    },
    logFile: join(directory, "agent.log"),
  };
  const inPlace = place ? ["netns", "exec", place.namespace, process.execPath] : [];
  const agent = file("../agent/main.ts");
  const joined = await runProgram({
    ...program,
    args: [...inPlace, agent, "join", "--token-file", tokenFile],
    track: () => undefined,
  });
  if (joined !== 0) throw new Error(await readFile(program.logFile, "utf8"));
  const service = supervise(ctx, {
    ...program,
    args: [
      ...inPlace,
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
    disks: ctx.machine.disks.get(name) ?? null,
    cable: place?.cable ?? null,
  };
}
