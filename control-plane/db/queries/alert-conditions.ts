import { type SQL, sql } from "drizzle-orm";
import type { AlertCondition } from "../../../protocol/alert.ts";
import type { Settings } from "../../../protocol/settings.ts";
import type { Ctx } from "../../context.ts";
import { growths } from "./disk-samples.ts";
import { freshness } from "./freshness.ts";
import { heldDeletions } from "./held.ts";

/** What each condition's query tells of one that holds, for people. */
export type Facts = {
  failed: { runs: number; reason: string | null; message: string | null };
  stale: { freshAt: string | null; targetSeconds: number };
  "out-of-contact": { since: string };
  held: { deletions: number; entries: number };
  disk: { space: number | null; inodes: number | null; fullAt: string | null };
  "no-progress": { attempts: number; lost: boolean };
  cloned: { reason: string };
};

/** A condition that holds. "": not of a project, a host, a root. */
export type Present = {
  [Condition in AlertCondition]: {
    condition: Condition;
    project: string;
    host: string;
    root: string;
    facts: Facts[Condition];
  };
}[AlertCondition];

type Thresholds = Pick<
  Settings,
  "alertFailedRuns" | "alertAwayMinutes" | "alertDiskPercent" | "alertDiskDays"
>;

/** Each answers `project, host, root, facts`. Of what is being distributed the pull has succeeded. */
const failed = ({ alertFailedRuns: runs }: Thresholds): SQL => sql`
  select p.name project, '' host, '' root,
    jsonb_build_object('runs', last.failed, 'reason', last.reason, 'message', (
      select t.result ->> 'message' from tasks t
      where t.run_id = last.id and t.state = 'failed' order by t.role desc limit 1)) facts
  from projects p cross join lateral (
    select count(*) filter (where run.state = 'failed') failed,
      (array_agg(run.id order by run.created_at desc))[1] id,
      (array_agg(run.reason order by run.created_at desc))[1] reason
    from (
      select u.id, u.state, u.reason, u.created_at from runs u
      where u.project_id = p.id and u.trigger not in ('dry-run', 'undo') and u.state in ('succeeded', 'failed', 'distributing')
      order by u.created_at desc limit ${runs}) run) last
  where last.failed = ${runs} and p.paused_at is null`;

/** What was never fresh is stale once it has been there for as long as its target. */
const stale = (ctx: Pick<Ctx, "now">): SQL => sql`
  select p.name project, h.name host, '' root,
    jsonb_build_object('freshAt', f.fresh_at, 'targetSeconds', f.target_seconds) facts
  from ${freshness(ctx)} f
  join replicas r using (project_id, host_id)
  join projects p on p.id = f.project_id
  join hosts h on h.id = f.host_id
  where f.is_stale and h.revoked_at is null and r.paused_at is null and p.paused_at is null
    and (f.fresh_at is not null
      or greatest(p.created_at, h.enrolled_at, h.created_at)
        < ${ctx.now()} - f.target_seconds * interval '1 second')`;

/** Without drained hosts: somebody works on them. Of those in quarantine another alert tells. */
const outOfContact = (
  { now }: Pick<Ctx, "now">,
  { alertAwayMinutes: minutes }: Thresholds,
): SQL => sql`
  select '' project, h.name host, '' root,
    jsonb_build_object('since', coalesce(h.last_seen_at, h.enrolled_at)) facts
  from hosts h
  where h.signing_key is not null and h.revoked_at is null and h.drained_at is null
    and h.quarantined_at is null
    and coalesce(h.last_seen_at, h.enrolled_at) < ${now()} - ${minutes} * interval '1 minute'`;

const held = (): SQL => sql`
  select p.name project, h.name host, '' root,
    jsonb_build_object('deletions', d.deletions, 'entries', d.entries) facts
  from ${heldDeletions} d
  join replicas r on r.project_id = d.project_id and r.host_id = d.host_id
  join projects p on p.id = d.project_id
  join hosts h on h.id = d.host_id and h.revoked_at is null`;

/**
 * Too little is free, or will be. One that is open ends a percent, or half of the days, beyond where it began: a disk
 * that hovers there is told of once.
 */
const disk = (
  { now }: Pick<Ctx, "now">,
  { alertDiskPercent: percent, alertDiskDays: days }: Thresholds,
): SQL => sql`
  select '' project, h.name host, d.path root,
    jsonb_build_object('space', floor(room.space), 'inodes', floor(room.inodes), 'fullAt',
      case when room.days <= ${days}::int * 1.5 then ${now()} + room.days * interval '1 day' end) facts
  from hosts h
  cross join lateral jsonb_to_recordset(h.facts -> 'roots')
    d(path text, "totalBytes" float8, "freeBytes" float8, "totalInodes" float8, "freeInodes" float8)
  left join ${growths} g on g.host_id = h.id and g.root = d.path
  cross join lateral (
    select 100 * d."freeBytes" / nullif(d."totalBytes", 0) space,
      100 * d."freeInodes" / nullif(d."totalInodes", 0) inodes,
      case when g.growth < 0 then d."freeBytes" / -g.growth / 86400 end days) room
  left join alerts a on a.condition = 'disk' and a.project = '' and a.host = h.name
    and a.root = d.path and a.closed_at is null
  where h.revoked_at is null and (
    least(room.space, room.inodes) < ${percent} + case when a.id is null then 0 else 1 end
    or room.days < ${days}::int * case when a.id is null then 1 else 1.5 end)`;

/** Tasks under way two of whose attempts came to nothing, and those that ended so and had no successor. */
const noProgress = (): SQL => sql`
  select p.name project, h.name host, '' root,
    jsonb_build_object('attempts', t.attempt, 'lost', t.lost) facts
  from (
    select t.project_id, t.host_id, t.attempt, t.state = 'lost' lost from tasks t
    where (t.state = 'lost' or (t.state = 'failed' and t.result ->> 'outcome' = 'stalled'))
      and not t.dry_run and not exists (
        select from tasks newer where newer.project_id = t.project_id and not newer.dry_run
          and newer.host_id = t.host_id and newer.queued_at > t.queued_at)
    union all
    select t.project_id, t.host_id, t.attempt, latest.lost
    from tasks t cross join lateral (
      select count(*) halted, bool_or(a.state = 'superseded') lost from attempts a
      where a.task_id = t.id
        and (a.state = 'superseded' or a.result ->> 'outcome' = 'stalled')) latest
    where t.state in ('queued', 'leased') and not t.dry_run and t.attempt >= 2 and latest.halted >= 2) t
  join replicas r on r.project_id = t.project_id and r.host_id = t.host_id
  join projects p on p.id = t.project_id
  join hosts h on h.id = t.host_id and h.revoked_at is null`;

const cloned = (): SQL => sql`
  select '' project, h.name host, '' root, jsonb_build_object('reason', h.quarantine_reason) facts
  from hosts h where h.quarantined_at is not null and h.revoked_at is null`;

/** Everything that is wrong now. */
export async function readPresent(
  ctx: Pick<Ctx, "db" | "now">,
  thresholds: Thresholds,
): Promise<Present[]> {
  const queries: Record<AlertCondition, SQL> = {
    failed: failed(thresholds),
    stale: stale(ctx),
    "out-of-contact": outOfContact(ctx, thresholds),
    held: held(),
    disk: disk(ctx, thresholds),
    "no-progress": noProgress(),
    cloned: cloned(),
  };
  const present: Present[] = [];
  for (const [condition, query] of Object.entries(queries)) {
    const { rows } = await ctx.db.execute<Omit<Present, "condition">>(query);
    for (const row of rows) present.push({ ...row, condition } as Present);
  }
  return present;
}
