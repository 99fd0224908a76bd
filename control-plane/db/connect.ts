import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import * as schema from "./schema.ts";

/** Where the database is: a URL, or the socket directory of the embedded one. */
export type Connection = string | { host: string; database: string; user: string };

export type Database = PostgresJsDatabase<typeof schema>;
export type Transaction = Parameters<Parameters<Database["transaction"]>[0]>[0];

/** Opens a pool of at most `max` connections (postgres.js connects at the first query). */
export function connect({ connection, max = 10 }: { connection: Connection; max?: number }) {
  const options = {
    max,
    connect_timeout: 10,
    onnotice: () => {},
    connection: { application_name: "mirrorfleet", TimeZone: "UTC" },
  };
  const sql =
    typeof connection === "string"
      ? postgres(connection, options)
      : postgres({ ...connection, ...options });
  return { sql, db: drizzle(sql, { schema }) };
}
