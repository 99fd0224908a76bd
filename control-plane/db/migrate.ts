import { fileURLToPath } from "node:url";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate as runMigrations } from "drizzle-orm/postgres-js/migrator";
import { AppError } from "../../protocol/errors.ts";
import { connect, type Connection } from "./connect.ts";

const migrationsFolder = fileURLToPath(new URL("../../db/migrations", import.meta.url));

/** Key of the advisory lock: Drizzle's migrator takes none, and replicas may start together. */
const advisoryLockKey = 7_446_213;

/** Brings the database to the newest schema. @throws AppError `unavailable` before Postgres 15. */
export async function migrate({ connection }: { connection: Connection }): Promise<void> {
  const { sql } = connect({ connection, max: 1 });
  try {
    const [row] = await sql`select current_setting('server_version_num')::int as version`;
    if (row?.["version"] < 150_000) {
      throw new AppError(
        "unavailable",
        `the database is Postgres ${Math.floor(row?.["version"] / 10_000)}; mirrorfleet needs 15 or newer`,
      );
    }
    await sql`select pg_advisory_lock(${advisoryLockKey})`;
    await runMigrations(drizzle(sql), { migrationsFolder });
  } finally {
    // Ending the session frees the advisory lock, also after an error.
    await sql.end({ timeout: 5 });
  }
}
