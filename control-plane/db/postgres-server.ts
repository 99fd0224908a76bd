import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { AppError } from "../../protocol/errors.ts";
import { ownerSetting } from "./leftover-postmaster.ts";
import type { Binaries } from "./postgres-binaries.ts";
import { type Account, cleanEnvironment, dyingWithParent } from "./run-as.ts";
import { lastLines, openServerLog } from "./server-log.ts";

export type ServerExit = { code: number | null; signal: NodeJS.Signals | null };
type Connection = { host: string; port: number; database: string; user: string };
type Launch = {
  binaries: Binaries;
  account: Account | undefined;
  cluster: string;
  connection: Connection;
  log: string;
  settings: Record<string, string>;
};
type Server = { exited: Promise<ServerExit>; hasExited: () => boolean; stop: () => Promise<void> };

/** Replaying the log after a crash takes its time; the server says so and is left to it. */
const readyWithinMs = 300_000;
/** How long the backends of a server that was killed may hold on to its shared memory. */
const releaseWithinMs = 30_000;

/**
 * Starts the server on a cluster and waits until it answers.
 * @throws AppError `unavailable` with the last lines of its log.
 */
export async function startServer(
  ctx: { log: (message: string) => void },
  launch: Launch,
): Promise<Server> {
  const log = await openServerLog({ path: launch.log });
  try {
    const deadline = Date.now() + releaseWithinMs;
    for (;;) {
      const server = await spawnServer({ ...launch, output: log.fd });
      const failure = await firstAnswer({ server, connection: launch.connection });
      if (failure === undefined) return server;
      await server.stop();
      const lines = await lastLines({ path: launch.log });
      if (!lines.includes("pre-existing shared memory block") || Date.now() > deadline) {
        throw new AppError(
          "unavailable",
          `the embedded Postgres in ${launch.cluster} did not start: ${failure.message}. The end of ${launch.log}:\n${lines}`,
          { cause: failure },
        );
      }
      ctx.log(`waiting for the processes of a killed Postgres to leave ${launch.cluster}`);
      await sleep(500);
    }
  } finally {
    await log.close();
  }
}

async function spawnServer(launch: Launch & { output: number }): Promise<Server> {
  const { account, binaries, output } = launch;
  const prefix = await dyingWithParent({ account, signal: "INT" });
  const [file, ...args] = [...prefix, binaries.postgres, ...argv(launch)];
  // Its own session: a Ctrl-C at the terminal must reach the control plane alone.
  const child = spawn(file ?? binaries.postgres, args, {
    detached: true,
    stdio: ["ignore", output, output],
    cwd: "/",
    env: cleanEnvironment,
    ...account,
  });
  const exited = new Promise<ServerExit>((settle) => {
    child.once("exit", (code, signal) => settle({ code, signal }));
  });
  await once(child, "spawn");
  const hasExited = () => child.exitCode !== null || child.signalCode !== null;
  const stop = () => shutDown({ kill: (signal) => child.kill(signal), hasExited, exited });
  return { exited, hasExited, stop };
}

/** Waits until the server answers and has its database; what went wrong is a value. */
async function firstAnswer(input: {
  server: Server;
  connection: Connection;
}): Promise<Error | undefined> {
  try {
    await waitUntilReady(input);
    await ensureDatabase(input);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function argv({ cluster, connection, settings }: Launch): string[] {
  const all = {
    ...settings,
    listen_addresses: "",
    // The setting is a list; quoted, a path may contain commas and spaces.
    unix_socket_directories: `"${connection.host.replaceAll('"', '""')}"`,
    unix_socket_permissions: "0700",
    port: String(connection.port),
    [ownerSetting]: String(process.pid),
  };
  return [
    "-D",
    cluster,
    ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
}

async function waitUntilReady({ server, connection }: { server: Server; connection: Connection }) {
  const deadline = Date.now() + readyWithinMs;
  for (;;) {
    const failure = await tryQuery(connection);
    if (server.hasExited()) {
      const { code, signal } = await server.exited;
      throw new Error(`it ended with ${signal ?? `code ${code}`}`);
    }
    if (failure === undefined) return;
    if (Date.now() > deadline) throw failure;
    await Promise.race([server.exited, sleep(20)]);
  }
}

async function tryQuery(connection: Connection): Promise<unknown> {
  try {
    await withClient({ ...connection, database: "postgres" }, (client) => client.query("select 1"));
    return undefined;
  } catch (error) {
    return error;
  }
}

async function ensureDatabase({ connection }: { connection: Connection }): Promise<void> {
  const { database } = connection;
  await withClient({ ...connection, database: "postgres" }, async (client) => {
    const found = await client.query("select 1 from pg_database where datname = $1", [database]);
    if (found.rowCount === 0)
      await client.query(`create database ${client.escapeIdentifier(database)}`);
  });
}

async function withClient(
  connection: Connection,
  use: (client: pg.Client) => Promise<unknown>,
): Promise<void> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: 10_000 });
  // What happens to it is told by the query that it happens to.
  client.on("error", () => undefined);
  try {
    await client.connect();
    await use(client);
  } finally {
    await Promise.race([client.end(), sleep(5000, undefined, { ref: false })]);
  }
}

/** Fast shutdown, then immediate, then none of the server's own doing. */
async function shutDown({
  kill,
  hasExited,
  exited,
}: {
  kill: (signal: NodeJS.Signals) => boolean;
  hasExited: () => boolean;
  exited: Promise<ServerExit>;
}): Promise<void> {
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    if (hasExited()) return;
    kill(signal);
    const timer = new AbortController();
    const patience = sleep(20_000, undefined, { signal: timer.signal }).catch(() => undefined);
    await Promise.race([exited, patience]);
    timer.abort();
  }
  await exited;
}
