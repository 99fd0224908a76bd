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

/** Writes down each change of a task's or run's state, whoever makes it. */
export const installJournal = (database: Database) =>
  database.use(async (sql) => {
    await sql.unsafe(`
      create table chaos_journal (
        number bigint generated always as identity, at timestamptz not null default clock_timestamp(),
        kind text not null, id uuid not null, old_state text, new_state text not null,
        old_attempt int not null, new_attempt int not null);
      create function chaos_note() returns trigger language plpgsql as $$ begin
        insert into chaos_journal (kind, id, old_state, new_state, old_attempt, new_attempt) values (
          tg_argv[0], new.id, case when tg_op = 'UPDATE' then old.state end, new.state,
          case when tg_op = 'UPDATE' then coalesce((to_jsonb(old) ->> 'attempt')::int, 0) else 0 end,
          coalesce((to_jsonb(new) ->> 'attempt')::int, 0));
        return new;
      end $$;
      create trigger chaos_tasks after insert or update of state, attempt on tasks
        for each row execute function chaos_note('task');
      create trigger chaos_runs after insert or update of state on runs
        for each row execute function chaos_note('run');`);
  });
