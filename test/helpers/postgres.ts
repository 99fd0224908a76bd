import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { onTestFinished } from "vitest";
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from "../../control-plane/db/embedded-postgres.ts";

export const isRoot = process.getuid?.() === 0;

/** Makes a directory for this test that any user may enter, or (0o700) only its owner. */
export async function temporaryDirectory({ mode = 0o711 } = {}): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "mirrorfleet-test-"));
  await chmod(directory, mode);
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 10 }));
  return directory;
}

/** Starts the embedded Postgres for this test; what it logs is kept in `messages`. */
export async function startPostgres(
  options: Parameters<typeof startEmbeddedPostgres>[1],
): Promise<EmbeddedPostgres & { messages: string[] }> {
  const messages: string[] = [];
  const server = await startEmbeddedPostgres({ log: (line) => messages.push(line) }, options);
  onTestFinished(() => server.stop());
  return { ...server, messages };
}

/** Runs one statement over a connection of its own. */
export async function query(
  connection: EmbeddedPostgres["connection"],
  statement: string,
): Promise<Record<string, unknown>[]> {
  const sql = postgres({ ...connection, max: 1 });
  try {
    return await sql.unsafe(statement);
  } finally {
    // Without a limit, postgres.js waits for ever on a connection that the server has ended.
    await sql.end({ timeout: 1 });
  }
}

/** The process id of the server that runs on a cluster. */
export async function serverPid(cluster: string): Promise<number> {
  return Number((await readFile(join(cluster, "postmaster.pid"), "utf8")).split("\n")[0]);
}

const ownerScript = fileURLToPath(new URL("postgres-owner.ts", import.meta.url));

/** Starts another process that owns an embedded Postgres on `directory`, as `uid` if given. */
export function spawnOwner({
  directory,
  systemDirectory,
  uid,
}: {
  directory: string;
  systemDirectory: string;
  uid?: number;
}): ChildProcess {
  const child = spawn(process.execPath, [ownerScript, directory, systemDirectory], {
    stdio: ["pipe", "pipe", "inherit"],
    cwd: "/",
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  onTestFinished(() => endOwner({ child, signal: "SIGTERM" }));
  return child;
}

/** Waits until the owner's server answers; gives what the owner prints about it. */
export async function ownedServer(
  child: ChildProcess,
): Promise<{ connection: EmbeddedPostgres["connection"]; pid: number }> {
  const lines = createInterface({ input: child.stdout! });
  const [line] = (await Promise.race([
    once(lines, "line"),
    once(child, "exit").then(() => Promise.reject(new Error("the owner ended early"))),
  ])) as [string];
  return JSON.parse(line);
}

/** Ends the owner and waits for its end. */
export async function endOwner({
  child,
  signal,
}: {
  child: ChildProcess;
  signal: NodeJS.Signals;
}): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill(signal);
  await exit;
}
