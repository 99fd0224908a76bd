import { sql } from "drizzle-orm";
import type { Ctx } from "../../context.ts";

type Place = { createdAt: string; id: string };
type Batch = { days: number; limit: number };

/** Where runs begin to be looked at. */
export const firstRun: Place = {
  createdAt: "-infinity",
  id: "00000000-0000-0000-0000-000000000000",
};

/**
 * Runs from `after` on, oldest first, that ended long ago, with whether something still needs them: of each
 * project the latest success and what came after it of each other kind, and the same of each replica, so
 * that a task that is held is there until it is decided. Each look is at one index.
 */
const oldRuns = (
  { now }: Pick<Ctx, "now">,
  { after, days, limit }: Batch & { after: Place },
) => sql`
  select r.id, r.created_at, (
    exists (
      select from runs n
      where n.project_id = r.project_id and n.created_at > r.created_at
        and n.trigger <> 'dry-run'
        and n.state in ('succeeded', r.state))
    and not exists (
      select from tasks t
      where t.run_id = r.id and (t.state in ('queued', 'leased') or (
        exists (
          select from replicas c where c.project_id = t.project_id and c.host_id = t.host_id)
        and not exists (
          select from tasks n
          where n.project_id = t.project_id and n.queued_at > t.queued_at and n.host_id = t.host_id
            and not n.dry_run and (n.state = 'succeeded' or n.state = t.state
              and n.result ->> 'outcome' is not distinct from t.result ->> 'outcome')))))
  ) spare
  from runs r
  where (r.created_at, r.id) > (${after.createdAt}::timestamptz, ${after.id}::uuid)
    and r.created_at < ${now()} - ${days} * interval '1 day'
    and r.state in ('succeeded', 'failed', 'cancelled', 'skipped')
  order by r.created_at, r.id
  limit ${limit}`;

/**
 * Removes runs that ended more than `days` ago and that nothing needs, with their tasks, attempts and logs,
 * of the `limit` runs that come after a place. Answers the next place; null where there is none.
 */
export async function removeOldRuns(
  ctx: Pick<Ctx, "db" | "now">,
  input: Batch & { after: Place },
): Promise<{ removed: number; next: Place | null }> {
  // Another replica may be at the same runs: what it has locked it removes.
  const { rows } = await ctx.db.execute<{ id: string; at: string; removed: boolean }>(sql`
    with looked as materialized (${oldRuns(ctx, input)}),
    locked as materialized (
      select id from runs where id in (select id from looked where spare) for update skip locked),
    gone as (delete from runs where id in (select id from locked) returning id)
    select looked.id, looked.created_at::text at, gone.id is not null removed
    from looked left join gone on gone.id = looked.id
    order by looked.created_at, looked.id`);
  const last = rows.length < input.limit ? undefined : rows.at(-1);
  return {
    removed: rows.filter(({ removed }) => removed).length,
    next: last ? { createdAt: last.at, id: last.id } : null,
  };
}

/** Removes at most `limit` pieces of logs that are older than `days`, of tasks that ended before that. Answers their number. */
export async function removeOldLogs(
  { db, now }: Pick<Ctx, "db" | "now">,
  { days, limit }: Batch,
): Promise<number> {
  const before = sql`${now()} - ${days} * interval '1 day'`;
  const { rowCount } = await db.execute(sql`
    delete from log_chunks where (task_id, attempt, position) in (
      select c.task_id, c.attempt, c.position from log_chunks c join tasks t on t.id = c.task_id
      where c.created_at < ${before} and t.finished_at < ${before}
      order by c.created_at limit ${limit} for update of c skip locked)`);
  return rowCount ?? 0;
}

/** Removes at most `limit` audit events that are older than `days`. Answers their number. */
export async function removeOldAuditEvents(
  { db, now }: Pick<Ctx, "db" | "now">,
  { days, limit }: Batch,
): Promise<number> {
  const { rowCount } = await db.execute(sql`
    delete from audit_events where id in (
      select id from audit_events where at < ${now()} - ${days} * interval '1 day'
      order by at limit ${limit} for update skip locked)`);
  return rowCount ?? 0;
}

/** Removes at most `limit` alerts that ended more than `days` ago. Answers their number. */
export async function removeOldAlerts(
  { db, now }: Pick<Ctx, "db" | "now">,
  { days, limit }: Batch,
): Promise<number> {
  const { rowCount } = await db.execute(sql`
    delete from alerts where id in (
      select id from alerts where closed_at < ${now()} - ${days} * interval '1 day'
      order by opened_at limit ${limit} for update skip locked)`);
  return rowCount ?? 0;
}

/** Removes at most `limit` messages that need not be delivered any more, after a week. Answers their number. */
export async function removeOldMessages(
  { db, now }: Pick<Ctx, "db" | "now">,
  { limit }: Pick<Batch, "limit">,
): Promise<number> {
  const { rowCount } = await db.execute(sql`
    delete from alert_messages where id in (
      select id from alert_messages
      where created_at < ${now()} - interval '7 days'
        and (delivered_at is not null or given_up_at is not null)
      order by created_at limit ${limit} for update skip locked)`);
  return rowCount ?? 0;
}
