import { sql } from "drizzle-orm";
import type { Progress } from "../../../protocol/report.ts";
import type { Ctx } from "../../context.ts";
import { freshness } from "./freshness.ts";
import { contactSeconds } from "./settings.ts";

/** One project on one host: `state` is what is to be seen first. */
export type Cell = {
  role: "master" | "ftp";
  freshness: "fresh" | "stale" | "never";
  freshAt: string | null;
  behind: number;
  state: "syncing" | "waiting" | "held" | "failed" | "paused" | "idle";
  progress: Progress | null;
};

type MatrixHost = {
  id: string;
  name: string;
  /** It has an agent; else it is invited. */
  enrolled: boolean;
  inContact: boolean;
  drained: boolean;
  lastSeenAt: string | null;
};
export type MatrixProject = {
  id: string;
  name: string;
  paused: boolean;
  nextRunAt: string | null;
  /** One for each host, in the hosts' order; null: it does not carry the project. */
  cells: (Cell | null)[];
};
export type Matrix = { hosts: MatrixHost[]; projects: MatrixProject[] };

type Row = {
  project: string;
  host: string;
  role: "master" | "ftp";
  paused: boolean;
  behind: string;
  fresh_at: Date | string | null;
  is_stale: boolean;
  active: "queued" | "leased" | null;
  progress: Progress | null;
  ended: string | null;
};

const iso = (time: Date | string | null) => (time === null ? null : new Date(time).toISOString());

function stateOf({ active, ended, paused }: Row): Cell["state"] {
  if (active === "leased") return "syncing";
  if (ended === "held" || ended === "failed") return ended;
  if (paused) return "paused";
  return active === "queued" ? "waiting" : "idle";
}

const cellOf = (row: Row): Cell => ({
  role: row.role,
  freshness: row.fresh_at === null ? "never" : row.is_stale ? "stale" : "fresh",
  freshAt: iso(row.fresh_at),
  behind: Number(row.behind),
  state: stateOf(row),
  progress: row.progress,
});

/**
 * How the latest task ended is looked up where it can matter alone: for masters and for what is behind.
 * A reconciliation that failed on a host that is not behind is not a failure of the project there. By way
 * of the runs, newest first: their first task on that host is found at once (25,000 cells: more than 5 s without).
 */
const cells = (ctx: Pick<Ctx, "now">) => sql`
  select f.project_id project, f.host_id host, r.role,
    r.paused_at is not null or p.paused_at is not null paused,
    f.behind, f.fresh_at, f.is_stale, a.state active,
    case when a.state = 'leased' then a.progress end progress,
    case when l.state = 'failed' and l.outcome = 'held' then
        case when l.dismissed_at is null then 'held' else '' end
      when l.state in ('failed', 'lost') then 'failed' end ended
  from ${freshness(ctx)} f
  join replicas r using (project_id, host_id)
  join projects p on p.id = f.project_id
  left join tasks a on a.project_id = f.project_id and a.host_id = f.host_id
    and a.state in ('queued', 'leased') and not a.dry_run
  left join lateral (
    select t.state, t.result ->> 'outcome' outcome, t.dismissed_at
    from runs u join tasks t on t.run_id = u.id and t.host_id = f.host_id
    where u.project_id = f.project_id and u.trigger <> 'dry-run' and (f.behind > 0 or r.role = 'master')
    order by u.created_at desc limit 1) l on true
  order by a.state = 'leased' nulls first`;

/** Every project on every host, from three queries. */
export async function readMatrix(ctx: Pick<Ctx, "db" | "now">): Promise<Matrix> {
  const { rows: hostRows } = await ctx.db.execute<{
    id: string;
    name: string;
    enrolled: boolean;
    in_contact: boolean;
    drained: boolean;
    last_seen_at: Date | string | null;
  }>(sql`
    select id, name, drained_at is not null drained, last_seen_at, signing_key is not null enrolled,
      coalesce(last_seen_at > ${ctx.now()} - ${contactSeconds} * interval '1 second', false) in_contact
    from hosts where revoked_at is null order by 'master' = any(roles) desc, name`);
  const { rows: projectRows } = await ctx.db.execute<{
    id: string;
    name: string;
    paused: boolean;
    next_run_at: Date | string | null;
  }>(sql`select id, name, paused_at is not null paused, next_run_at from projects order by name`);
  const { rows } = await ctx.db.execute<Row>(cells(ctx));
  const columns = new Map(hostRows.map(({ id }, index) => [id, index]));
  const byProject = new Map(
    projectRows.map(({ id }) => [id, hostRows.map((): Cell | null => null)]),
  );
  for (const row of rows) {
    const column = columns.get(row.host);
    const carried = byProject.get(row.project);
    if (column !== undefined && carried) carried[column] = cellOf(row);
  }
  return {
    hosts: hostRows.map(
      ({ id, name, enrolled, in_contact: inContact, drained, last_seen_at: seen }) => ({
        id,
        name,
        enrolled,
        inContact,
        drained,
        lastSeenAt: iso(seen),
      }),
    ),
    projects: projectRows.map(({ id, name, paused, next_run_at: next }) => ({
      id,
      name,
      paused,
      nextRunAt: iso(next),
      cells: byProject.get(id)!,
    })),
  };
}
