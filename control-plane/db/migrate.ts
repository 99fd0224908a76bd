import { fileURLToPath } from "node:url";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate as runMigrations } from "drizzle-orm/postgres-js/migrator";
import { AppError } from "../../protocol/errors.ts";
import { connect, type Connection } from "./connect.ts";

const migrationsFolder = fileURLToPath(new URL("../../db/migrations", import.meta.url));

/** Key of the advisory lock: Drizzle's migrator takes none, and replicas may start together. */
const advisoryLockKey = 7_446_213;

/** The database's own words; Drizzle's error has the failed statement before them. */
const reason = (error: unknown) => {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message : message;
};

/** What an administrator needs to know where the database cannot be used; the URL's password is not in it. */
function unusable(cause: unknown): AppError {
  return new AppError(
    "unavailable",
    `cannot use the database (${reason(cause)}): check that it runs, that DATABASE_URL names its host, port, user and database, and that this user owns the database`,
    { cause },
  );
}

/**
 * Brings the database to the newest schema.
 * @throws AppError `unavailable` before Postgres 15, and where the database cannot be used.
 */
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
  } catch (error) {
    throw error instanceof AppError ? error : unusable(error);
  } finally {
    // Ending the session frees the advisory lock, also after an error.
    await sql.end({ timeout: 5 });
  }
}
