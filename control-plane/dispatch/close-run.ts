import { sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { compiled } from "../db/compiled.ts";
import type { runs } from "../db/schema/runs.ts";

type Closed = Pick<typeof runs.$inferSelect, "id" | "state" | "reason">;

// Whether it is done is seen in the index of what is not: most runs are not, and have many tasks.
const close = compiled<{ runId: string; reason: string | null }, Closed>(
  ({ now }, { runId, reason }) => sql<Closed>`/* close run */
  with done as materialized (
    select r.id, ended.failed, ended.cancelled
    from runs r cross join lateral (
      select
        string_agg(host, ', ' order by host) filter (where state in ('failed', 'lost')) failed,
        string_agg(host, ', ' order by host) filter (where state = 'cancelled') cancelled
      from (
        select t.state, (select h.name from hosts h where h.id = t.host_id) host from tasks t
        where t.run_id = r.id and t.state in ('failed', 'lost', 'cancelled')) t) ended
    where r.id = ${runId} and r.state in ('running', 'distributing') and not exists (
      select from tasks active
      where active.project_id = r.project_id and active.run_id = r.id and active.state in ('queued', 'leased'))),
  closed as (
    update runs set finished_at = ${now()},
      state = case when failed is not null then 'failed' when cancelled is not null then 'cancelled' else 'succeeded' end,
      reason = case when failed is not null then 'failed on ' || failed
        else coalesce(${reason}, 'cancelled on ' || cancelled) end
    from done where runs.id = done.id and state in ('running', 'distributing')
    returning runs.id, project_id, trigger, state, reason),
  counted as (
    insert into run_totals (project_id, state, runs)
    select project_id, state, 1 from closed where trigger <> 'dry-run'
    on conflict (project_id, state) do update set runs = run_totals.runs + 1)
  select id, state, reason from closed`,
);

/**
 * Closes a run whose last task is done, and counts it: `succeeded` when all of them were, else with a reason. What only
 * looked is no sync that succeeded or failed. Answers its row when closed. The caller holds the project's row.
 */
export const closeRunIfDone = (
  ctx: Pick<Ctx, "db" | "now">,
  { runId, reason = null }: { runId: string; reason?: string | null },
) => close(ctx, { runId, reason });
