import { sql } from "drizzle-orm";
import { readMigrationFiles } from "drizzle-orm/migrator";
import type { Database } from "../db/connect.ts";
import { migrationsFolder, oldestVersion } from "../db/migrate.ts";
import { fault } from "./cure.ts";

/** Connections of one control plane: its pool, the one that listens, and the one that probes that. */
const connectionsOfOne = 12;
/** Seconds that the database's clock may differ from this machine's. */
const toleratedSkewSeconds = 5;

/** Does it answer, is it new enough, can it be written to, may we make tables? */
export async function checkServer(db: Database): Promise<string> {
  const {
    rows: [row],
  } = await db.execute<Record<string, any>>(sql`
    select current_setting('server_version_num')::int number, current_setting('server_version') version,
      pg_is_in_recovery() standby, current_setting('default_transaction_read_only') = 'on' reads,
      has_database_privilege(current_database(), 'CREATE') creates,
      has_schema_privilege('public', 'CREATE') makes, current_database() name, current_user who`);
  const { number, version, standby, reads, creates, makes, name, who } = row!;
  if (number < oldestVersion)
    throw fault(`Postgres ${version} is too old: ${oldestVersion / 10_000} or newer is needed`);
  if (standby)
    throw fault("it is a standby, which cannot be written to: set DATABASE_URL to the primary");
  if (reads)
    throw fault(
      `it is read only: alter database "${name}" reset default_transaction_read_only (or of the role)`,
    );
  if (!creates || !makes)
    throw fault(
      `"${who}" may not make tables: grant create on database "${name}" to "${who}"; grant create on schema public to "${who}"`,
    );
  return `Postgres ${version}, database ${name}`;
}

/** Is the schema the one that this version works with? */
export async function checkMigrations(db: Database): Promise<string> {
  const files = readMigrationFiles({ migrationsFolder });
  const newest = files.at(-1)!.folderMillis;
  const {
    rows: [table],
  } = await db.execute<Record<string, any>>(
    sql`select to_regclass('drizzle.__drizzle_migrations') is not null there`,
  );
  if (!table!["there"]) return "none applied yet: the first start of the control plane does it";
  const {
    rows: [row],
  } = await db.execute(
    sql`select max(created_at)::bigint latest from drizzle.__drizzle_migrations`,
  );
  const latest = Number(row!["latest"] ?? 0);
  const missing = files.filter(({ folderMillis }) => folderMillis > latest).length;
  if (latest > newest)
    throw fault("the schema is of a newer mirrorfleet: start that version, or restore a backup");
  if (missing > 0)
    throw fault(
      `${missing} of ${files.length} are not applied: back up, then start the control plane, which applies them`,
    );
  return `all ${files.length} applied`;
}

/** Does what the server has acknowledged survive a crash? */
export async function checkDurability(db: Database): Promise<string> {
  const {
    rows: [row],
  } = await db.execute<Record<string, any>>(sql`
    select current_setting('fsync') fsync, current_setting('full_page_writes') pages,
      current_setting('synchronous_commit') commits, current_setting('synchronous_standby_names') standbys`);
  const { fsync, pages, commits, standbys } = row!;
  for (const [name, value] of Object.entries({ fsync, full_page_writes: pages }))
    if (value !== "on")
      throw fault(`${name} is ${value}: a crash destroys the database: set ${name} = on`);
  if (commits === "off")
    throw fault(
      "synchronous_commit is off: a crash takes back results that were acknowledged: set synchronous_commit = on",
    );
  return `synchronous_commit ${commits}, ${standbys === "" ? "no synchronous standbys" : `synchronous standbys ${standbys}`}`;
}

/** Is there room for a control plane's connections? */
export async function checkConnections(db: Database): Promise<string> {
  const {
    rows: [row],
  } = await db.execute<Record<string, any>>(sql`
    select current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int most,
      (select rolconnlimit from pg_roles where rolname = current_user) role,
      (select datconnlimit from pg_database where datname = current_database()) "database",
      (select count(*)::int from pg_stat_activity
        where backend_type = 'client backend' and application_name <> 'mirrorfleet') others`);
  const { most, role, database, others } = row!;
  for (const [what, limit] of Object.entries({ role, database }))
    if (limit >= 0 && limit < connectionsOfOne)
      throw fault(
        `the ${what} is limited to ${limit}, and each control plane uses ${connectionsOfOne}: alter ${what} … connection limit`,
      );
  if (most - others < connectionsOfOne)
    throw fault(
      `of ${most}, others use ${others}, and each control plane uses ${connectionsOfOne}: raise max_connections`,
    );
  return `${most}, of which others use ${others}; each control plane uses ${connectionsOfOne}`;
}

/** Do the database and this machine agree on the time? */
export async function checkClock(db: Database): Promise<string> {
  const before = Date.now();
  const {
    rows: [row],
  } = await db.execute<Record<string, any>>(
    sql`select extract(epoch from clock_timestamp())::float8 * 1000 now`,
  );
  const after = Date.now();
  // Somewhere between the two the server looked.
  const now = Number(row!["now"]);
  const skew = Math.max(0, before - now, now - after) / 1000;
  if (skew > toleratedSkewSeconds)
    throw fault(
      `the database's clock differs by ${Math.round(skew)} seconds from this machine's: check NTP on both`,
    );
  return `within ${(skew + (after - before) / 1000).toFixed(3)} seconds of the database's`;
}
