import { sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import type { runs } from "../db/schema/runs.ts";

type Closed = Pick<typeof runs.$inferSelect, "id" | "state" | "reason">;

/**
 * Closes a run whose last task is done, and counts it: `succeeded` when all of them were, else with a reason. What only
 * looked is no sync that succeeded or failed. Answers its row when closed. The caller holds the project's row.
 */
export const closeRunIfDone = (
  { db, now }: Pick<Ctx, "db" | "now">,
  { runId, reason = null }: { runId: string; reason?: string | null },
) =>
  db.execute<Closed>(sql`/* close run */
  with done as (
    select
      string_agg(h.name, ', ' order by h.name) filter (where t.state in ('failed', 'lost')) failed,
      string_agg(h.name, ', ' order by h.name) filter (where t.state = 'cancelled') cancelled
    from tasks t join hosts h on h.id = t.host_id
    where t.run_id = ${runId}
    having coalesce(bool_and(t.state not in ('queued', 'leased')), true)),
  closed as (
    update runs set finished_at = ${now()},
      state = case when failed is not null then 'failed' when cancelled is not null then 'cancelled' else 'succeeded' end,
      reason = case when failed is not null then 'failed on ' || failed
        else coalesce(${reason}, 'cancelled on ' || cancelled) end
    from done where id = ${runId} and state in ('running', 'distributing')
    returning id, project_id, trigger, state, reason),
  counted as (
    insert into run_totals (project_id, state, runs)
    select project_id, state, 1 from closed where trigger <> 'dry-run'
    on conflict (project_id, state) do update set runs = run_totals.runs + 1)
  select id, state, reason from closed`);
