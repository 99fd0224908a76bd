import { rm, stat } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { AppError } from "../../protocol/errors.ts";
import { writeFileAtomically } from "../files.ts";
import { ownCommand, tlsEndCommand } from "../self.ts";
import {
  type DaemonSettings,
  type DaemonUser,
  renderDaemonConfig,
  renderSecrets,
  secretsFile,
} from "./daemon-config.ts";
import { startedBy } from "./leftovers.ts";
import { tlsEndVariable, type TlsEndSettings } from "./tls-end.ts";
import { tlsKeyFile } from "./tls-key.ts";

const longestPauseSeconds = 60;
/** Time that a connection has to shake hands and to say a right password. */
const admissionSeconds = 60;

function isListening({ host, port }: { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

type Admitted = { users: DaemonUser[]; serves: number | null };

async function writeConfig({
  settings,
  users,
  serves,
}: { settings: DaemonSettings } & Admitted): Promise<string> {
  const { uid, gid } = await stat(settings.roots[0]!.path);
  const owner = process.getuid?.() === 0 ? { uid, gid } : null;
  const path = join(settings.stateDir, "rsyncd.conf");
  // Passwords first: a user must never stand in the configuration without one.
  await writeFileAtomically({
    path: secretsFile(settings.stateDir),
    text: renderSecrets(users),
    mode: 0o600,
  });
  await writeFileAtomically({
    path,
    text: renderDaemonConfig({ settings, users, serves, owner }),
    mode: 0o600,
  });
  return path;
}

/** What listens: rsync's own daemon, or a process that takes TLS and starts an rsync for each connection. */
function listenerOf({
  settings: { stateDir, address, port, tls },
  rsync,
  config,
}: {
  settings: DaemonSettings;
  rsync: string;
  config: string;
}): { command: string; args: string[]; env: Record<string, string>; stdin: "ignore" | "pipe" } {
  if (tls === "no") {
    const args = ["--daemon", "--no-detach", `--config=${config}`];
    return { command: rsync, args, env: {}, stdin: "ignore" };
  }
  const [command, ...args] = ownCommand();
  const keyFile = tlsKeyFile(stateDir);
  const tlsEnd: TlsEndSettings = {
    address,
    port,
    keyFile,
    rsync,
    config,
    plainToo: tls === "both",
    admissionSeconds,
  };
  const env = { [tlsEndVariable]: JSON.stringify(tlsEnd) };
  // The pipe's end tells it that the agent is no more, also where that was killed.
  return { command, args: [...args, tlsEndCommand], env, stdin: "pipe" };
}

/**
 * Runs the master's rsync daemon and starts it again when it dies. It reads its configuration at each
 * connection, so `update` needs no restart. @throws AppError `conflict` where the port is in use.
 */
export async function startDaemon(
  ctx: { rsync: string; log: (message: string) => void },
  settings: DaemonSettings & Admitted,
): Promise<{
  port: number;
  update: (admitted: Admitted) => Promise<void>;
  stop: () => Promise<void>;
}> {
  const { port, address, stateDir } = settings;
  const host = address ?? "127.0.0.1";
  if (await isListening({ host, port })) {
    throw new AppError(
      "conflict",
      `port ${port} is in use: set MIRRORFLEET_DAEMON_PORT to another, or stop what listens there`,
    );
  }
  const { users, serves } = settings;
  const config = await writeConfig({ settings, users, serves });
  let stopping = false;
  const pause = new AbortController();
  let child: ReturnType<typeof spawnDaemon> | undefined;
  const { command, args, env, stdin } = listenerOf({ settings, rsync: ctx.rsync, config });
  const path = process.env["PATH"] ?? "/usr/bin:/bin";
  const spawnDaemon = () =>
    execa(command, args, {
      env: { PATH: path, LC_ALL: "C", ...startedBy(stateDir), ...env },
      extendEnv: false,
      detached: true,
      cleanup: true,
      reject: false,
      stdin,
      stdout: "ignore",
      buffer: false,
    });
  const supervise = async () => {
    for (let seconds = 1; !stopping; seconds = Math.min(seconds * 2, longestPauseSeconds)) {
      // A daemon that was killed leaves its pid file, and rsync refuses to start beside one.
      await rm(join(stateDir, "rsyncd.pid"), { force: true });
      const started = Date.now();
      child = spawnDaemon();
      createInterface(child.stderr).on("line", (line) => ctx.log(`the rsync daemon: ${line}`));
      const { exitCode } = await child;
      if (stopping) return;
      if (Date.now() - started > 60_000) seconds = 1;
      ctx.log(`the rsync daemon ended (${exitCode ?? "killed"}); it starts again in ${seconds} s`);
      await sleep(seconds * 1000, undefined, { signal: pause.signal }).catch(() => undefined);
    }
  };
  const supervised = supervise();
  for (let tries = 0; !(await isListening({ host, port })); tries++) {
    if (tries === 100)
      throw new AppError(
        "unavailable",
        `the rsync daemon does not listen on ${host}:${port}; see ${join(stateDir, "rsyncd.log")}`,
      );
    await sleep(50);
  }
  return {
    port,
    update: async (admitted) => {
      await writeConfig({ settings, ...admitted });
    },
    stop: async () => {
      stopping = true;
      pause.abort();
      if (child?.pid !== undefined) {
        try {
          process.kill(-child.pid, "SIGTERM");
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
        }
      }
      await supervised;
    },
  };
}
