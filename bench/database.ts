import postgres from "postgres";
import { startEmbeddedPostgres } from "../control-plane/db/embedded-postgres.ts";

export type BenchDatabase = {
  /** Of a database in the cluster: as the control plane takes it, and as node-postgres does. */
  url: (database: string) => string;
  settings: (database: string) => { host: string; port: number; database: string; user: string };
  /** Statements that the cluster has run so far. */
  statements: () => Promise<number>;
  stop: () => Promise<void>;
};

/** Starts the embedded Postgres as the control plane would, with statistics of statements. */
export async function startDatabase({ directory }: { directory: string }): Promise<BenchDatabase> {
  const { connection, stop } = await startEmbeddedPostgres(
    { log: () => {} },
    {
      directory: `${directory}/postgres`,
      // The peers have pools of their own, all at the same time.
      settings: { shared_preload_libraries: "pg_stat_statements", max_connections: "200" },
    },
  );
  const { host, port, user } = connection;
  const sql = postgres({ ...connection, max: 1, onnotice: () => {} });
  await sql`create extension if not exists pg_stat_statements`;
  return {
    url: (database) =>
      `postgres://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`,
    settings: (database) => ({ host, port, database, user }),
    statements: async () => {
      const [row] = await sql<{ calls: string }[]>`select sum(calls) calls from pg_stat_statements`;
      return Number(row!.calls);
    },
    stop: async () => {
      await sql.end();
      await stop();
    },
  };
}
