import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { AppError } from "../../protocol/errors.ts";
import type { Config } from "../config.ts";
import type { Connection } from "../db/connect.ts";
import { isThere } from "../db/files.ts";
import { openDatabase } from "../db/open-database.ts";
import { fault } from "./cure.ts";

type Reached = { connection: Connection; close: () => Promise<unknown> };

/** The embedded server that a control plane runs, by what it wrote into its directory. */
async function runningServer(cluster: string): Promise<Connection> {
  const lines = (await readFile(join(cluster, "postmaster.pid"), "utf8")).split("\n");
  return { host: lines[4]!, database: "mirrorfleet", user: "mirrorfleet" };
}

/**
 * The database as the control plane would reach it: one's own, the embedded one of a control plane that
 * runs, or the embedded one started for a moment. Null where there is none yet: nothing is made.
 */
export async function reachDatabase({
  config,
  log,
}: {
  config: Config;
  log: Logger;
}): Promise<Reached | null> {
  const cluster = join(config.dataDirectory, "postgres");
  if (config.databaseUrl === undefined && !(await isThere(join(cluster, "PG_VERSION"))))
    return null;
  return openDatabase({ config, log }).catch(async (error: unknown) => {
    if (!(error instanceof AppError) || error.code !== "conflict") throw error;
    return { connection: await runningServer(cluster), close: async () => undefined };
  });
}

/** What to do, by what Postgres or the system said. */
const cures: Record<string, string> = {
  ECONNREFUSED: "is Postgres running, and does it listen there (listen_addresses, port)?",
  ENOENT: "there is no such socket: is Postgres running, and is the directory right?",
  ENOTFOUND: "no such host: look at the name in DATABASE_URL, and at DNS",
  ETIMEDOUT: "no answer: look at firewall and address",
  "28P01": "give the right password in DATABASE_URL",
  "28000": "let this user in: pg_hba.conf, and its role",
  "3D000": "make the database: createdb",
  "53300": "all connections are taken: raise max_connections, or use fewer",
  "57P03": "it is starting up or shutting down: wait, and look at its log",
};

/** Says why a database is not reached, without the password that its URL may hold. */
export function notReached(error: unknown): AppError {
  if (error instanceof AppError) return error;
  // Drizzle's own error has the statement; what led to it has the words of the server or the system.
  const { cause } = error as Error;
  if (cause instanceof Error) return notReached(cause);
  const { code = "", message } = error as Error & { code?: string };
  return fault(`cannot be used: ${message || code}: ${cures[code] ?? "look at its log"}`, error);
}
