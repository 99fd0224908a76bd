import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("..", import.meta.url));

export type Program = { name: string; child: ChildProcess };

/** A TCP port on loopback that is free at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** Only what programs need of our environment: the demo must not reach a database of the user's. */
const environment = () =>
  Object.fromEntries(
    ["PATH", "HOME", "LANG", "TMPDIR"].flatMap((name) =>
      process.env[name] === undefined ? [] : [[name, process.env[name]]],
    ),
  );

/** Starts a program in a process group of its own; its output goes to a file. */
export function startProgram({
  name,
  command,
  args,
  env,
  logFile,
}: {
  name: string;
  command: string;
  args: string[];
  env: Record<string, string>;
  logFile: string;
}): Program {
  const log = openSync(logFile, "a", 0o600);
  try {
    const child = spawn(command, args, {
      cwd: repository,
      detached: true,
      stdio: ["ignore", log, log],
      env: { ...environment(), ...env },
    });
    child.on("error", () => undefined);
    return { name, child };
  } finally {
    closeSync(log);
  }
}

export const hasEnded = ({ child }: Program) =>
  child.exitCode !== null || child.signalCode !== null || child.pid === undefined;

function signalGroup({ child }: Program, signal: NodeJS.Signals) {
  try {
    process.kill(-child.pid!, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Ends programs: TERM to each, and KILL to the group of one that is still there after 20 seconds. */
export async function stopPrograms(programs: Program[]): Promise<void> {
  await Promise.all(
    programs.map(async (program) => {
      if (hasEnded(program)) return;
      program.child.kill("SIGTERM");
      for (let waited = 0; !hasEnded(program); waited += 50) {
        if (waited >= 20_000) signalGroup(program, "SIGKILL");
        await sleep(50);
      }
    }),
  );
}

/** Runs a program to its end. Returns its exit status; null when it was killed. */
export async function runProgram(
  input: Parameters<typeof startProgram>[0] & { track: (program: Program) => void },
): Promise<number | null> {
  const program = startProgram(input);
  input.track(program);
  const [status] = (await once(program.child, "exit")) as [number | null];
  return status;
}
