import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Client, createClient } from "../protocol/client.ts";
import { AppError } from "../protocol/errors.ts";
import { freePort, hasEnded, type Program, runProgram, startProgram } from "./processes.ts";

export const hosts = ["master", "ftp1", "ftp2"] as const;

const programFile = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

export type Place = { directory: string; track: (program: Program) => void };

export const rootOf = (directory: string, host: string) => join(directory, host, "mirror");

async function untilReady({
  url,
  program,
  logFile,
}: {
  url: string;
  program: Program;
  logFile: string;
}) {
  for (let tries = 0; tries < 600; tries++) {
    if (hasEnded(program)) break;
    const ready = await fetch(`${url}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    await sleep(100);
  }
  throw new AppError(
    "unavailable",
    `${program.name} did not start: ${(await readFile(logFile, "utf8")).slice(-2000)}`,
  );
}

/** Starts an rsync daemon that serves `tree` read only on loopback; answers its URL. */
export async function startUpstream(
  { directory, track }: Place,
  { tree }: { tree: string },
): Promise<string> {
  const port = await freePort();
  const config = join(directory, "upstream.conf");
  const chroot = "use chroot = no\n";
  const owner = process.getuid?.() === 0 ? "uid = root\ngid = root\n" : "";
  await writeFile(
    config,
    `address = 127.0.0.1\nport = ${port}\npid file = ${join(directory, "upstream.pid")}\n${chroot}${owner}[upstream]\npath = ${tree}\nread only = yes\n`,
  );
  track(
    startProgram({
      name: "upstream",
      command: "rsync",
      args: ["--daemon", "--no-detach", `--config=${config}`],
      env: {},
      logFile: join(directory, "upstream.log"),
    }),
  );
  return `rsync://127.0.0.1:${port}/upstream/`;
}

/** Starts the control plane; on its embedded database unless `settings` name another. */
export async function startControlPlane(
  { directory, track }: Place,
  settings: Record<string, string> = {},
): Promise<{
  url: string;
  client: Client;
  token: string;
  dataDirectory: string;
  program: Program;
}> {
  const dataDirectory = join(directory, "data");
  const url = `http://127.0.0.1:${await freePort()}`;
  const logFile = join(directory, "control-plane.log");
  const env = {
    MIRRORFLEET_DATA: dataDirectory,
    MIRRORFLEET_LISTEN: url.slice("http://".length),
    ...settings,
  };
  const program = startProgram({
    name: "control plane",
    command: process.execPath,
    args: [programFile("control-plane/main.ts")],
    env,
    logFile,
  });
  track(program);
  await untilReady({ url, program, logFile });
  const token = (await readFile(join(dataDirectory, "admin-token"), "utf8")).trim();
  return { url, client: createClient({ url, token }), token, dataDirectory, program };
}

/** Invites a host, lets its agent join with the one-use token, and starts the agent: by `command`, if not from the sources. */
export async function startAgent(
  { directory, track }: Place,
  {
    host,
    client,
    url,
    source,
    daemonPort,
    command: [program, ...args] = [process.execPath, programFile("agent/main.ts")],
    settings = {},
  }: {
    host: string;
    client: Client;
    url: string;
    source: string;
    daemonPort: number;
    command?: [string, ...string[]];
    settings?: Record<string, string>;
  },
): Promise<Program> {
  const { enrolment } = await client.createHost({
    name: host,
    roles: [host === "master" ? "master" : "ftp"],
    addresses: ["127.0.0.1"],
  });
  await mkdir(rootOf(directory, host), { recursive: true });
  const logFile = join(directory, host, "agent.log");
  const tokenFile = join(directory, host, "enrolment-token");
  await writeFile(tokenFile, enrolment.token, { mode: 0o600 });
  const env = {
    MIRRORFLEET_CONTROL_PLANE: url,
    MIRRORFLEET_STATE_DIR: join(directory, host, "state"),
    MIRRORFLEET_MIRROR_ROOTS: rootOf(directory, host),
    MIRRORFLEET_SOURCES: source,
    MIRRORFLEET_DAEMON_PORT: String(daemonPort),
    MIRRORFLEET_DAEMON_ADDRESS: "127.0.0.1",
    ...settings,
  };
  const joined = await runProgram({
    name: `${host} join`,
    command: program,
    args: [...args, "join", "--token-file", tokenFile],
    env,
    logFile,
    track,
  });
  if (joined !== 0)
    throw new AppError(
      "unavailable",
      `host ${host} could not join: ${(await readFile(logFile, "utf8")).slice(-2000)}`,
    );
  const agent = startProgram({
    name: host,
    command: program,
    args: [...args, "run"],
    env,
    logFile,
  });
  track(agent);
  return agent;
}
