import { randomUUID } from "node:crypto";
import postgres, { type Sql } from "postgres";
import { inject } from "vitest";

/** What postgres.js takes as options. */
export type TestConnection = { host: string; port: number; database: string; user: string };

/** The migrated, empty database that every test database is a copy of. */
export const templateDatabase = "template_mirrorfleet";

/** Makes an empty database for one test, migrated unless told not to. End your connections, then `drop` it. */
export async function createTestDatabase({ migrated = true } = {}): Promise<{
  connection: TestConnection;
  drop: () => Promise<void>;
}> {
  const server = inject("databaseServer");
  const database = `test_${randomUUID().replaceAll("-", "")}`;
  await withServer(server, async (sql) => {
    await sql`create database ${sql(database)} template ${sql(migrated ? templateDatabase : "template1")}`;
  });
  const drop = () =>
    withServer(server, async (sql) => {
      await sql`drop database ${sql(database)} with (force)`;
    });
  return { connection: { ...server, database }, drop };
}

async function withServer(server: TestConnection, use: (sql: Sql) => Promise<void>) {
  const sql = postgres({ ...server, max: 1 });
  try {
    await use(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}
