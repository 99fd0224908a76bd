import { sql } from "drizzle-orm";
import type { Result } from "../../../protocol/report.ts";
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

/** Counts an attempt that has ended, by its outcome; without a result its lease was lost. */
export function countAttempt(
  { db }: Pick<Ctx, "db">,
  {
    projectId,
    hostId,
    result,
  }: {
    projectId: string;
    hostId: string;
    result: Pick<Result, "outcome" | "seconds" | "stats"> | null;
  },
) {
  const { outcome = "lost", seconds = 0, stats = null } = result ?? {};
  return db.execute(sql`/* count attempt */
    insert into attempt_totals as t (project_id, host_id, outcome, attempts, seconds, received_bytes)
    values (${projectId}, ${hostId}, ${outcome}, 1, ${seconds}, ${stats?.receivedBytes ?? 0})
    on conflict (project_id, host_id, outcome) do update set
      attempts = t.attempts + 1, seconds = t.seconds + excluded.seconds,
      received_bytes = t.received_bytes + excluded.received_bytes`);
}

/** Counts how long a task waited for its host: once, when its first attempt has ended. */
export function countWait(
  { db }: Pick<Ctx, "db">,
  { task: { projectId, queuedAt, startedAt } }: { task: typeof tasks.$inferSelect },
) {
  const seconds = Math.max(0, (Number(startedAt) - queuedAt.getTime()) / 1000);
  return db.execute(sql`/* count wait */
    insert into wait_totals as t (project_id, bound, tasks, seconds)
    values (${projectId}, ${classOf(seconds)}, 1, ${seconds})
    on conflict (project_id, bound) do update set
      tasks = t.tasks + 1, seconds = t.seconds + excluded.seconds`);
}

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
