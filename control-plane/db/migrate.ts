import { drizzle } from "drizzle-orm/node-postgres";
import { migrate as runMigrations } from "drizzle-orm/node-postgres/migrator";
import { AppError } from "../../protocol/errors.ts";
import { packagedFile } from "../packaged-file.ts";
import { connect, type Connection } from "./connect.ts";

/** Where the migrations are. */
export const migrationsFolder = packagedFile("db/migrations");

/** Key of the advisory lock: Drizzle's migrator takes none, and replicas may start together. */
const advisoryLockKey = 7_446_213;

/** The oldest Postgres that will do, as its `server_version_num` says it. */
export const oldestVersion = 150_000;

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
  const { pool, close } = connect({ connection, max: 2, patient: true });
  try {
    const { rows } = await pool.query(
      "select current_setting('server_version_num')::int as version",
    );
    const { version } = rows[0];
    if (version < oldestVersion) {
      throw new AppError(
        "unavailable",
        `the database is Postgres ${Math.floor(version / 10_000)}; mirrorfleet needs 15 or newer`,
      );
    }
    // A transaction holds the lock: behind a pooler a session is not ours, and would keep it.
    const lock = await pool.connect();
    try {
      await lock.query("begin");
      await lock.query("select pg_advisory_xact_lock($1)", [advisoryLockKey]);
      await runMigrations(drizzle(pool), { migrationsFolder });
      await lock.query("commit");
    } finally {
      lock.release(true);
    }
  } catch (error) {
    throw error instanceof AppError ? error : unusable(error);
  } finally {
    await close();
  }
}
