import { sql } from "drizzle-orm";
import type { Result } from "../../protocol/report.ts";
import { type AttemptState, eventByOutcome } from "../../protocol/states.ts";
import type { Ctx } from "../context.ts";
import { compiled } from "../db/compiled.ts";
import { countAttempts, countWaits, waitOf } from "../db/queries/totals.ts";
import type { tasks } from "../db/schema/tasks.ts";
import { advanceReplicas } from "./fan-out.ts";
import { notifyOfPlaces } from "./wake.ts";

type TaskRow = typeof tasks.$inferSelect;

/** A leased task as it was read, and of its project how soon it is tried again. */
export type Leased = { task: TaskRow; retrySeconds: number };

const longestBackOffSeconds = 3600;

/** Seconds before attempt n + 1: the project's `retrySeconds`, doubled each time, half of it by chance. */
function backOffSeconds({ attempt, first }: { attempt: number; first: number }): number {
  const ceiling = Math.min(Math.max(first, longestBackOffSeconds), first * 2 ** (attempt - 1));
  return ceiling / 2 + (Math.random() * ceiling) / 2;
}

const stateByEvent = { succeed: "succeeded", fail: "failed", cancel: "cancelled" } as const;

/** What becomes of a task: a retry ends where the attempts do, or where an operator wanted it to end. */
function nextState({ task, result }: { task: TaskRow; result: Result | null }) {
  const event = result ? eventByOutcome[result.outcome] : "retry";
  if (event !== "retry") return stateByEvent[event];
  // Cancelled is what the agent says; of one that went silent nobody knows.
  if (task.cancelRequestedAt) return result ? "cancelled" : "lost";
  if (task.attempt < task.maxAttempts) return "queued";
  return result ? "failed" : "lost";
}

function attemptStateOf(result: Result | null): AttemptState {
  if (result === null) return "superseded";
  const event = eventByOutcome[result.outcome];
  return event === "succeed" ? "succeeded" : event === "cancel" ? "cancelled" : "failed";
}

/** A task as this result leaves it; without one its lease was lost. */
export const withResult = (task: TaskRow, result: Result | null): TaskRow => ({
  ...task,
  result,
  state: nextState({ task, result }),
});

/** What the statement below is given. */
type End = {
  id: string;
  attempt: number;
  pollId: string | null;
  cancelRequestedAt: string | null;
  state: TaskRow["state"];
  result: string | null;
  attemptState: AttemptState;
  pauseSeconds: number;
  isCounted: boolean;
  waitBound: string | null;
  waitSeconds: number | null;
};

function endOf({ task, retrySeconds }: Leased): End {
  const { id, attempt, pollId, state, result, dryRun } = task;
  const wait = attempt === 1 ? waitOf(task) : null;
  return {
    id,
    attempt,
    pollId,
    cancelRequestedAt: task.cancelRequestedAt?.toISOString() ?? null,
    state,
    result: result && JSON.stringify(result),
    attemptState: attemptStateOf(result),
    pauseSeconds: state === "queued" ? backOffSeconds({ attempt, first: retrySeconds }) : 0,
    // What only looked is no sync; a lease that ran out is one all the same.
    isCounted: !dryRun || result === null,
    waitBound: wait?.bound ?? null,
    waitSeconds: wait?.seconds ?? null,
  };
}

const end = compiled<End, { id: string }>(
  ({ now }, given) => sql<{ id: string }>`/* end task */
    with ended as (
      update tasks set state = ${given.state}, result = ${given.result}::jsonb, lease_until = null, poll_id = null,
        not_before = ${now()} + ${given.pauseSeconds} * interval '1 second',
        finished_at = case when ${given.state} = 'queued' then null else ${now()} end
      where id = ${given.id} and attempt = ${given.attempt} and state = 'leased' and poll_id = ${given.pollId}
        and cancel_requested_at is not distinct from ${given.cancelRequestedAt}::timestamptz
      returning id, attempt, run_id, project_id, host_id, role, state, result, (result ->> 'scanned')::boolean scanned,
        ${given.waitBound}::text wait_bound, ${given.waitSeconds}::float8 wait_seconds),
    kept as (
      update attempts set state = ${given.attemptState}, result = ended.result, finished_at = ${now()}
      from ended where attempts.task_id = ended.id and attempts.attempt = ended.attempt),
    counted as (${countAttempts({ ended: sql`(select * from ended where ${given.isCounted})` })}),
    waited as (${countWaits({ ended: sql`ended` })}),
    advanced as (${advanceReplicas({ now }, { ended: sql`ended` })}),
    told as (${notifyOfPlaces({ ended: sql`ended` })})
    select id, (select count(*) from told) from ended`,
);

/**
 * Ends the attempt of a task that is leased as it was read, and tells whom that concerns. What is to be known of the
 * task's end before more follows is not in it. Answers nothing where it is not; the caller holds the project's row.
 */
export const endTask = (ctx: Pick<Ctx, "db" | "now">, leased: Leased) => end(ctx, endOf(leased));
