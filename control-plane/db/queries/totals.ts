import { type SQL, sql } from "drizzle-orm";
import type { RunState } from "../../../protocol/states.ts";
import type { Ctx } from "../../context.ts";
import type { tasks } from "../schema/tasks.ts";

/**
 * What is counted for ever: metrics that count must not go back when retention removes the rows. Each is
 * written by whoever holds its project's row, so that nobody waits for a counter.
 */

/** Upper bounds of the classes in which waits for a host are counted, in seconds. */
const waitClasses = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400];

const classOf = (seconds: number) =>
  waitClasses.find((bound) => seconds <= bound) ?? Number.POSITIVE_INFINITY;

/** Counts a run that has ended. */
export const countRun = (
  { db }: Pick<Ctx, "db">,
  { projectId, state }: { projectId: string; state: RunState },
) =>
  db.execute(sql`/* count run */
    insert into run_totals (project_id, state, runs) values (${projectId}, ${state}, 1)
    on conflict (project_id, state) do update set runs = run_totals.runs + 1`);

/** Counts attempts that have ended: `ended` is a table of `project_id, host_id, result`; without a result a lease was lost. */
export const countAttempts = ({ ended }: { ended: SQL }) => sql`
  insert into attempt_totals as t (project_id, host_id, outcome, attempts, seconds, received_bytes)
  select project_id, host_id, coalesce(result ->> 'outcome', 'lost'), count(*),
    coalesce(sum((result ->> 'seconds')::float8), 0),
    coalesce(sum((result -> 'stats' ->> 'receivedBytes')::bigint), 0)
  from ${ended} ended group by 1, 2, 3
  on conflict (project_id, host_id, outcome) do update set
    attempts = t.attempts + excluded.attempts, seconds = t.seconds + excluded.seconds,
    received_bytes = t.received_bytes + excluded.received_bytes`;

/** Counts one. */
export const countAttempt = (
  { db }: Pick<Ctx, "db">,
  { projectId, hostId, result }: { projectId: string; hostId: string; result: object },
) =>
  db.execute(
    countAttempts({
      ended: sql`(select ${projectId}::uuid project_id, ${hostId}::uuid host_id, ${JSON.stringify(result)}::jsonb result)`,
    }),
  );

/** Seconds that a task waited for its host, and the class in which that is counted, as text. */
export function waitOf({
  queuedAt,
  startedAt,
}: Pick<typeof tasks.$inferSelect, "queuedAt" | "startedAt">) {
  const seconds = Math.max(0, (Number(startedAt) - queuedAt.getTime()) / 1000);
  return { seconds, bound: String(classOf(seconds)) };
}

/** Counts how long tasks waited for their hosts, each once: `ended` is a table of `project_id, wait_bound, wait_seconds`. */
export const countWaits = ({ ended }: { ended: SQL }) => sql`
  insert into wait_totals as t (project_id, bound, tasks, seconds)
  select project_id, wait_bound::float8, count(*), sum(wait_seconds)
  from ${ended} ended where wait_bound is not null group by 1, 2
  on conflict (project_id, bound) do update set
    tasks = t.tasks + excluded.tasks, seconds = t.seconds + excluded.seconds`;

/** How many tasks waited up to each bound, the last of which is infinite, and how long all of them. */
export async function readWaits({ db }: Pick<Ctx, "db">) {
  const { rows } = await db.execute<{ bound: number; tasks: string; seconds: number }>(
    sql`select bound, sum(tasks) tasks, sum(seconds) seconds from wait_totals group by bound`,
  );
  const upTo = (bound: number) =>
    rows.reduce((sum, row) => sum + (row.bound <= bound ? Number(row.tasks) : 0), 0);
  return {
    classes: [...waitClasses, Number.POSITIVE_INFINITY].map((bound) => ({
      bound,
      tasks: upTo(bound),
    })),
    seconds: rows.reduce((sum, row) => sum + row.seconds, 0),
  };
}
