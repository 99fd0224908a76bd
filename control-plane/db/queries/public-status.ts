import { sql } from "drizzle-orm";
import type { PublicStatus } from "../../../protocol/site.ts";
import type { TaskState } from "../../../protocol/states.ts";
import type { Ctx } from "../../context.ts";
import { freshness } from "./freshness.ts";
import { isPull } from "./pulls.ts";
import { readSettings } from "./settings.ts";

type PublicProject = PublicStatus["projects"][number] & {
  /** When it was paused, or its pull queued. */
  since: string | null;
};

type Row = {
  name: string;
  description: string;
  path: string;
  upstream: string | null;
  paused_at: string | null;
  next_run_at: string | null;
  files: string;
  bytes: string;
  target: number;
  latest: TaskState | null;
  queued_at: string | null;
  started_at: string | null;
  ended: TaskState | null;
  ended_at: string | null;
  updated_at: string | null;
  hosts: { host: string; stale: boolean; fresh_at: string | null }[];
};

const iso = (time: string | null) => (time === null ? null : new Date(time).toISOString());

function stateOf({ paused_at, latest, ended, updated_at }: Row): PublicProject["state"] {
  if (paused_at !== null) return "paused";
  if (latest === "leased") return "syncing";
  if (latest === "queued") return "waiting";
  if (ended !== null) return ended === "succeeded" ? "succeeded" : "failed";
  // Hosted here: there is no pull, only what was distributed.
  return updated_at === null ? "none" : "succeeded";
}

function view(row: Row): PublicProject {
  const scanned = Number(row.files) > 0;
  return {
    name: row.name,
    description: row.description,
    path: row.path,
    upstream: row.upstream,
    state: stateOf(row),
    bytes: scanned ? Number(row.bytes) : null,
    files: scanned ? Number(row.files) : null,
    updatedAt: iso(row.updated_at),
    startedAt: iso(row.started_at),
    endedAt: iso(row.ended_at),
    nextAt: iso(row.next_run_at),
    since: iso(row.paused_at ?? row.queued_at),
    withinSeconds: row.target,
    hosts: row.hosts.map(({ host, stale, fresh_at }) => ({
      host,
      fresh: !stale,
      freshAt: iso(fresh_at),
    })),
  };
}

/** What everybody may know of the public projects, by name. Its pulls are tasks of the master. */
export async function readPublicProjects(ctx: Pick<Ctx, "db" | "now">): Promise<PublicProject[]> {
  const { rows } = await ctx.db.execute<Row>(sql`
    select p.name, p.description, p.path, coalesce(p.upstream, p.parts -> 0 ->> 'upstream') upstream,
      coalesce(p.paused_at, (select paused_at from fleet)) paused_at, p.next_run_at, p.files, p.bytes, p.fresh_target_seconds target,
      latest.state latest, latest.queued_at, latest.started_at, ended.state ended,
      coalesce(ended.finished_at, hosted.started_at) ended_at,
      coalesce(success.finished_at, hosted.started_at) updated_at,
      coalesce(replicas.hosts, '[]') hosts
    from projects p
    left join lateral (
      select t.* from tasks t where t.project_id = p.id and ${isPull}
      order by t.queued_at desc limit 1) latest on true
    left join lateral (
      select t.* from tasks t
      where t.project_id = p.id and ${isPull} and t.state not in ('queued', 'leased')
      order by t.queued_at desc limit 1) ended on true
    left join lateral (
      select t.* from tasks t
      where t.project_id = p.id and ${isPull} and t.state = 'succeeded'
      order by t.queued_at desc limit 1) success on true
    left join lateral (
      select r.started_at from runs r
      where r.project_id = p.id and r.generation is not null
        and p.upstream is null and jsonb_array_length(p.parts) = 0
      order by r.created_at desc limit 1) hosted on true
    left join (
      select f.project_id, jsonb_agg(jsonb_build_object('host', h.name, 'stale', f.is_stale,
        'fresh_at', date_trunc('minute', f.fresh_at)) order by h.name) hosts
      from ${freshness(ctx)} f
      join replicas r on r.project_id = f.project_id and r.host_id = f.host_id and r.role = 'ftp'
      join hosts h on h.id = f.host_id and h.revoked_at is null
      group by f.project_id) replicas on replicas.project_id = p.id
    where p.public order by p.name`);
  return rows.map(view);
}

/** All that everybody may know. */
export async function readPublicStatus(ctx: Pick<Ctx, "db" | "now">): Promise<PublicStatus> {
  const { site, paused } = await readSettings(ctx);
  const found = await readPublicProjects(ctx);
  const projects = found.map(({ since: _since, ...shown }) => shown);
  return { site, paused: paused !== null, projects };
}
