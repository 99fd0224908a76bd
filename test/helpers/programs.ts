import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import {
  freePort,
  type Program,
  runProgram,
  startProgram,
  stopPrograms,
} from "../../demo/processes.ts";
import { type Client, createClient } from "../../protocol/client.ts";

const programFile = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Waits until `look` answers something truthy, at most a minute. */
export async function until<Value>(
  what: string,
  look: () => Promise<Value> | Value,
): Promise<NonNullable<Value>> {
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(50)) {
    const seen = await look();
    if (seen) return seen;
  }
  throw new Error(`waited a minute for: ${what}`);
}

/** Starts a program that is ended, at the latest, with the test. */
export function start(input: Parameters<typeof startProgram>[0]): Program {
  const program = startProgram(input);
  onTestFinished(() => stopPrograms([program]));
  return program;
}

/** Waits for a program's end. Answers its exit status, or the signal that killed it. */
export async function exitOf({ child }: Program): Promise<number | NodeJS.Signals | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.exitCode ?? child.signalCode;
}

/** Kills a program without letting it say anything. */
export async function killHard(program: Program): Promise<void> {
  program.child.kill("SIGKILL");
  await exitOf(program);
}

export type ControlPlaneProgram = {
  program: Program;
  url: string;
  client: Client;
  token: string;
  logFile: string;
};

/** Starts the real control plane in `directory` and waits until it is ready. */
export async function startControlPlaneProgram({
  directory,
  name = "control-plane",
  port,
  env = {},
}: {
  directory: string;
  name?: string;
  port?: number;
  env?: Record<string, string>;
}): Promise<ControlPlaneProgram> {
  const data = join(directory, "data");
  const listen = `127.0.0.1:${port ?? (await freePort())}`;
  const url = `http://${listen}`;
  const logFile = join(directory, `${name}.log`);
  const program = start({
    name,
    command: process.execPath,
    args: [programFile("control-plane/main.ts")],
    env: { MIRRORFLEET_DATA: data, MIRRORFLEET_LISTEN: listen, ...env },
    logFile,
  });
  await until(`${name} is ready`, async () => {
    if (program.child.exitCode !== null) throw new Error(await readFile(logFile, "utf8"));
    return fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  });
  const token = (await readFile(join(data, "admin-token"), "utf8")).trim();
  return { program, url, client: createClient({ url, token }), token, logFile };
}

export type AgentProgram = {
  root: string;
  stateDir: string;
  logFile: string;
  log: () => Promise<string>;
  /** Starts the agent, again after it has ended; `more` settings count before its own. */
  run: (more?: Record<string, string>) => Program;
  /** Joins anew, with keys that are new. */
  rejoin: () => Promise<void>;
};

/** Invites a host and lets the real agent join, as an administrator would. */
export async function joinAgent(
  { client, url }: { client: Client; url: string },
  {
    directory,
    host,
    source,
    env = {},
  }: { directory: string; host: string; source: string; env?: Record<string, string> },
): Promise<AgentProgram> {
  const { enrolment } = await client.createHost({
    name: host,
    roles: [host === "master" ? "master" : "ftp"],
    addresses: ["127.0.0.1"],
  });
  const root = join(directory, host, "mirror");
  const stateDir = join(directory, host, "state");
  const logFile = join(directory, host, "agent.log");
  await mkdir(root, { recursive: true });
  const tokenFile = join(directory, host, "token");
  await writeFile(tokenFile, enrolment.token, { mode: 0o600 });
  const input = {
    name: host,
    command: process.execPath,
    env: {
      MIRRORFLEET_CONTROL_PLANE: url,
      MIRRORFLEET_STATE_DIR: stateDir,
      MIRRORFLEET_MIRROR_ROOTS: root,
      MIRRORFLEET_SOURCES: source,
      MIRRORFLEET_DAEMON_ADDRESS: "127.0.0.1",
      ...env,
    },
    logFile,
  };
  const agent = programFile("agent/main.ts");
  const joinWith = async (args: string[]) => {
    const status = await runProgram({
      ...input,
      args: [agent, "join", "--token-file", tokenFile, ...args],
      track: (program) => onTestFinished(() => stopPrograms([program])),
    });
    if (status !== 0) throw new Error(await readFile(logFile, "utf8"));
  };
  await joinWith([]);
  return {
    root,
    stateDir,
    logFile,
    log: () => readFile(logFile, "utf8"),
    run: (more = {}) => start({ ...input, env: { ...input.env, ...more }, args: [agent, "run"] }),
    rejoin: async () => {
      const again = await client.inviteHost(host);
      await writeFile(tokenFile, again.enrolment.token);
      await joinWith(["--replace"]);
    },
  };
}
