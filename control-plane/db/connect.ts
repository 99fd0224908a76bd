import type { PgDatabase } from "drizzle-orm/pg-core";
import { drizzle, type PostgresJsQueryResultHKT } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import * as schema from "./schema.ts";

/** Where the database is: a URL, or the socket directory of the embedded one. */
export type Connection = string | { host: string; database: string; user: string };

/** A pool, or a transaction on one of its connections: whoever takes one works in both. */
export type Database = PgDatabase<PostgresJsQueryResultHKT, typeof schema>;

/** A URL's socket directory in libpq's way (`?host=/run/postgresql`), which postgres.js does not know. */
function splitSocket(connection: string): { url: string; host?: string } {
  const url = new URL(connection);
  const host = url.searchParams.get("host");
  if (!host?.startsWith("/")) return { url: connection };
  url.searchParams.delete("host");
  return { url: url.href, host };
}

/** Opens a pool of at most `max` connections (postgres.js connects at the first query). */
export function connect({ connection, max = 10 }: { connection: Connection; max?: number }) {
  const options = {
    max,
    connect_timeout: 10,
    onnotice: () => {},
    connection: { application_name: "mirrorfleet", TimeZone: "UTC" },
  };
  const { url, ...place } =
    typeof connection === "string" ? splitSocket(connection) : { url: undefined, ...connection };
  const sql =
    url === undefined
      ? postgres({ ...place, ...options })
      : postgres(url, { ...place, ...options });
  return { sql, db: drizzle(sql, { schema }) };
}
