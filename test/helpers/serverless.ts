import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, readFile } from "node:fs/promises";
import { createServer, connect, type AddressInfo } from "node:net";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import { expect, onTestFinished } from "vitest";
import { buildWorker } from "../../build/serverless.ts";
import { createTestDatabase } from "./database.ts";
import { exitOf, start } from "./programs.ts";

/** A database behind TCP: there are no sockets in the file system on such platforms. Answers its URL, and how many connections it was asked for. */
async function databaseOverTcp(): Promise<{ url: string; connections: () => number }> {
  const { connection, drop } = await createTestDatabase({ migrated: false });
  let connections = 0;
  const server = createServer((client) => {
    connections += 1;
    const database = connect(`${connection.host}/.s.PGSQL.${connection.port}`);
    client.pipe(database).pipe(client);
    for (const end of [client, database]) end.on("error", () => database.destroy());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.close();
    await drop();
  });
  const { port } = server.address() as AddressInfo;
  const url = `postgres://${connection.user}@127.0.0.1:${port}/${connection.database}`;
  return { url, connections: () => connections };
}

/** A database that "migrate" has prepared, the settings for it, and the first admin token. */
export async function prepareDatabase({ directory }: { directory: string }) {
  const database = await databaseOverTcp();
  const environment = {
    DATABASE_URL: database.url,
    MIRRORFLEET_SECRET: randomBytes(32).toString("base64"),
  };
  const data = join(directory, "data");
  const logFile = join(directory, "migrate.log");
  const program = start({
    name: "migrate",
    command: process.execPath,
    args: ["control-plane/main.ts", "migrate"],
    env: { ...environment, MIRRORFLEET_DATA: data },
    logFile,
  });
  expect(await exitOf(program), await readFile(logFile, "utf8")).toBe(0);
  const admin = (await readFile(join(data, "admin-token"), "utf8")).trim();
  return { environment, admin, connections: database.connections };
}

/** Starts the Worker in workerd. */
export async function startWorker({
  directory,
  environment,
}: {
  directory: string;
  environment: Record<string, string>;
}): Promise<{ url: string; schedule: () => Promise<string> }> {
  const outdir = join(directory, "worker");
  await mkdir(outdir, { recursive: true });
  const files = await buildWorker({ outdir });
  const modules = [
    { type: "ESModule" as const, path: join(outdir, "main.js") },
    ...files.map((path) => ({ type: "Data" as const, path })),
  ];
  const worker = new Miniflare({
    modules,
    modulesRoot: outdir,
    host: "127.0.0.1",
    port: 0,
    compatibilityDate: "2026-07-01",
    compatibilityFlags: ["nodejs_compat", "enable_request_signal"],
    bindings: environment,
  });
  onTestFinished(() => worker.dispose());
  const url = String(await worker.ready).replace(/\/$/, "");
  const schedule = async () => {
    const fetcher = (await worker.getWorker()) as unknown as {
      scheduled: (event: { cron: string }) => Promise<{ outcome: string }>;
    };
    return (await fetcher.scheduled({ cron: "* * * * *" })).outcome;
  };
  return { url, schedule };
}
