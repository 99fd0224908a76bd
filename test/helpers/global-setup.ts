import { chmod, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import type { TestProject } from "vitest/node";
import { startEmbeddedPostgres } from "../../control-plane/db/embedded-postgres.ts";
import { migrate } from "../../control-plane/db/migrate.ts";
import { templateDatabase, type TestConnection } from "./database.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The run's own Postgres; `database` is the one to make others from. */
    databaseServer: TestConnection;
  }
}

/** Durability costs time, and a test's data need not outlive the test. */
const fastSettings = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  max_connections: "400",
};

/** Vitest's global set-up: one Postgres a run, with the migrated template of every test database. */
export default async function setUpDatabase(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), "mirrorfleet-test-"));
  // As root, the server runs as another user, who must be able to enter.
  await chmod(directory, 0o711);
  const data = join(directory, "postgres");
  const ctx = { log: (message: string) => process.stderr.write(`${message}\n`) };
  const server = await startEmbeddedPostgres(ctx, { directory: data, settings: fastSettings });
  const tearDown = async () => {
    await server.stop();
    await rm(await realpath(data), { recursive: true });
    await rm(directory, { recursive: true });
  };
  try {
    await createTemplate({ connection: server.connection });
  } catch (error) {
    await tearDown();
    throw error;
  }
  project.provide("databaseServer", server.connection);
  return tearDown;
}

async function createTemplate({ connection }: { connection: TestConnection }): Promise<void> {
  const sql = postgres({ ...connection, max: 1 });
  try {
    await sql`create database ${sql(templateDatabase)}`;
  } finally {
    await sql.end({ timeout: 1 });
  }
  await migrate({ connection: { ...connection, database: templateDatabase } });
}
