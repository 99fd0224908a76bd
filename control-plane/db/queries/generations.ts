import { sql } from "drizzle-orm";
import type { Ctx } from "../../context.ts";

/** A published state of a project: the run that published it, and the paths that it changed. */
export type Generation = {
  generation: number;
  run: string;
  trigger: string;
  at: string;
  /** null: there is no list; hosts compared everything. */
  entries: number | null;
};

/** The latest generations of a project of which a run is kept, newest first. */
export async function readGenerations(
  { db }: Pick<Ctx, "db">,
  { project, limit }: { project: string; limit: number },
): Promise<Generation[]> {
  // By way of the latest runs: a run that carries a generation on comes soon after the one that published it.
  const { rows } = await db.execute<Generation>(sql`
    select distinct on (r.generation) r.generation::int generation, r.id run, r.trigger,
      coalesce(t.finished_at, r.started_at, r.created_at) at, l.entries
    from projects p
    cross join lateral (
      select * from runs u where u.project_id = p.id and u.generation is not null
        and u.generation > p.generation - ${limit}
      order by u.created_at desc limit 2000) r
    left join tasks t on t.run_id = r.id and t.role = 'master'
    left join change_lists l on l.project_id = p.id and l.generation = r.generation
    where p.name = ${project}
    order by r.generation desc, r.created_at`);
  return rows.map(({ generation, run, trigger, at, entries }) => ({
    generation,
    run,
    trigger,
    at: new Date(at).toISOString(),
    entries,
  }));
}

/** What a pull deleted that nobody has brought back. */
export type Deletions = {
  run: string;
  /** Entries. */
  deleted: number;
  at: string;
  /** Days for which the master keeps what it deletes; 0: it keeps nothing; null: its agent has not said. */
  keptDays: number | null;
};

/** The run of a project whose pull deleted something last, if nothing has been brought back since. */
export async function latestDeletions(
  { db }: Pick<Ctx, "db">,
  { project }: { project: string },
): Promise<Deletions | null> {
  type Row = Omit<Deletions, "keptDays"> & { undone: boolean; kept_days: number | null };
  const { rows } = await db.execute<Row>(
    sql`
    select t.run_id run, (t.result -> 'stats' ->> 'deleted')::int deleted, t.finished_at at,
      (select (h.facts ->> 'quarantineDays')::int from replicas m join hosts h on h.id = m.host_id
        where m.project_id = p.id and m.role = 'master') kept_days,
      exists (
        select from runs u join tasks n on n.run_id = u.id and n.role = 'master'
        where u.project_id = p.id and u.trigger = 'undo' and u.created_at > t.queued_at
          and n.state in ('queued', 'leased', 'succeeded')) undone
    from projects p cross join lateral (
      select * from tasks t where t.project_id = p.id and t.role = 'master'
        and (t.result -> 'stats' ->> 'deleted')::int > 0
      order by t.queued_at desc limit 1) t
    where p.name = ${project}`,
  );
  const [found] = rows;
  if (!found || found.undone) return null;
  const { run, deleted, at, kept_days: keptDays } = found;
  return { run, deleted, at: new Date(at).toISOString(), keptDays };
}
