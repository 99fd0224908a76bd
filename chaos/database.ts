import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import postgres, { type Sql } from "postgres";
import { startEmbeddedPostgres } from "../control-plane/db/embedded-postgres.ts";

/** A Postgres that can be killed and started again. */
export async function startDatabase({ directory }: { directory: string }) {
  const start = () =>
    startEmbeddedPostgres({ log: () => {} }, { directory: join(directory, "postgres") });
  let server = await start();
  let changing: Promise<void> = Promise.resolve();
  const socket = () => ({
    path: `${server.connection.host}/.s.PGSQL.${server.connection.port}`,
  });
  /** A connection of the harness, past every proxy. */
  const use = async <Value>(action: (sql: Sql) => Promise<Value>): Promise<Value> => {
    await changing;
    const sql = postgres({ ...server.connection, max: 1, onnotice: () => {} });
    try {
      return await action(sql);
    } finally {
      await sql.end({ timeout: 1 });
    }
  };
  const postmaster = async () => {
    const text = await readFile(join(directory, "postgres/postmaster.pid"), "utf8");
    return Number(text.split("\n")[0]);
  };
  return {
    socket,
    use,
    /** Kills the whole cluster, or one of its backends, which makes all others end too. */
    kill: async (what: "cluster" | "backend") => {
      if (what === "cluster") return process.kill(await postmaster(), "SIGKILL");
      const [backend] = await use(
        (sql) =>
          sql`select pid from pg_stat_activity where application_name = 'mirrorfleet' order by random() limit 1`,
      );
      if (backend) process.kill(Number(backend["pid"]), "SIGKILL");
      return true;
    },
    /** Waits for the end of a killed cluster and starts it again. */
    startAgain: async ({ seconds }: { seconds: number }) => {
      const again = async () => {
        await server.exited;
        await sleep(seconds * 1000);
        await server.stop();
        server = await start();
      };
      changing = again();
      await changing;
    },
    stop: async () => {
      await changing;
      await server.stop();
    },
  };
}

export type Database = Awaited<ReturnType<typeof startDatabase>>;
