import type { Sql } from "postgres";
import type { Change } from "./history.ts";

/** Lets a database write down each change of a task's or run's state, whoever makes it. */
export async function installJournal(sql: Sql): Promise<void> {
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
}

/** What the journal holds, in order. */
export async function readJournal(sql: Sql): Promise<Change[]> {
  const rows = await sql`
    select extract(epoch from at) * 1000 as at, kind, id, old_state, new_state, old_attempt, new_attempt
    from chaos_journal order by number`;
  return rows.map((row) => ({
    at: Number(row["at"]),
    kind: row["kind"],
    id: row["id"],
    from: row["old_state"],
    to: row["new_state"],
    attemptBefore: row["old_attempt"],
    attempt: row["new_attempt"],
  }));
}
