import { and, eq, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Result } from "../../protocol/report.ts";
import { type AttemptState, eventByOutcome } from "../../protocol/states.ts";
import type { Ctx } from "../context.ts";
import { atOnce } from "../db/at-once.ts";
import { lockProject } from "../db/queries/projects.ts";
import { countAttempt, countWait } from "../db/queries/totals.ts";
import { attempts, projects, runs, tasks } from "../db/schema.ts";
import { reportDrift } from "./change-lists.ts";
import { closeRunIfDone } from "./close-run.ts";
import { advanceReplica, distribute } from "./fan-out.ts";
import { startQueuedRun } from "./start-run.ts";
import { notifyOfPlace } from "./wake.ts";

type TaskRow = typeof tasks.$inferSelect;

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

/** A task, and of its project how soon it is tried again, both locked, the project first, always: two results of one project must not wait for each other. */
async function lockTask(ctx: Ctx, { taskId }: { taskId: string }) {
  const [found] = await ctx.db
    .select({
      task: tasks,
      retrySeconds: projects.retrySeconds,
      hasExpired: sql<boolean>`coalesce(${tasks.leaseUntil} < ${ctx.now()}, false)`,
    })
    .from(tasks)
    .innerJoin(projects, eq(projects.id, tasks.projectId))
    .where(eq(tasks.id, taskId))
    .for("update", { of: [projects, tasks] })
    .prepare("lock task")
    .execute();
  return found;
}

/** Ends the leased attempt of a task, and that of its attempts. */
const endTaskIfLeased = (
  { db, now }: Ctx,
  { task, pauseSeconds }: { task: TaskRow; pauseSeconds: number },
) => {
  const { id, attempt, state, result } = task;
  const kept = result && JSON.stringify(result);
  return db.execute(sql`/* end task */
    with ended as (
      update tasks set state = ${state}, result = ${kept}::jsonb,
        lease_until = null, poll_id = null,
        not_before = ${now()} + ${pauseSeconds} * interval '1 second',
        finished_at = case when ${state} = 'queued' then null else ${now()} end
      where id = ${id} and attempt = ${attempt} and state = 'leased'
      returning id, attempt, result)
    update attempts set state = ${attemptStateOf(result)}, result = ended.result, finished_at = ${now()}
    from ended where attempts.task_id = ended.id and attempts.attempt = ended.attempt`);
};

/** Ends the attempt of a task that is leased and locked, with all that follows. Without a result its lease was lost. */
async function endAttempt(
  ctx: Ctx,
  { task, retrySeconds, result }: { task: TaskRow; retrySeconds: number; result: Result | null },
): Promise<void> {
  const ended: TaskRow = { ...task, result, state: nextState({ task, result }) };
  const pause = { attempt: task.attempt, first: retrySeconds };
  const pauseSeconds = ended.state === "queued" ? backOffSeconds(pause) : 0;
  await Promise.all([
    atOnce([
      endTaskIfLeased(ctx, { task: ended, pauseSeconds }),
      // What only looked is no sync; a lease that ran out is one all the same.
      ...(ended.dryRun && result !== null ? [] : [countAttempt(ctx, ended)]),
      ...(ended.attempt === 1 ? [countWait(ctx, { task: ended })] : []),
    ]),
    follow(ctx, { task: ended }),
  ]);
}

/** What a pull brought; the source had it when the attempt began, except where it was an undo. */
async function pulledBy(ctx: Ctx, { task, run }: { task: TaskRow; run: typeof runs.$inferSelect }) {
  const { changes, changeList, uncertain, scanned, stats } = task.result!;
  const [attempt] = await ctx.db
    .select({ startedAt: attempts.startedAt })
    .from(attempts)
    .where(and(eq(attempts.taskId, task.id), eq(attempts.attempt, task.attempt)));
  return {
    changed: changes > 0 || uncertain,
    changeList,
    size: scanned && stats ? { files: stats.files, bytes: stats.totalBytes } : null,
    freshAt: run.trigger === "undo" ? null : attempt!.startedAt,
  };
}

/**
 * What follows from a task's end: fan-out after the master's success, the run's close, the next run. The
 * caller holds the project's row.
 */
export async function follow(ctx: Ctx, { task }: { task: TaskRow }): Promise<void> {
  const { runId, projectId, role, state } = task;
  const succeeded = state === "succeeded";
  const carried = role === "ftp" && succeeded;
  const distributes = role === "master" && succeeded && !task.dryRun;
  const failedPull = role === "master" && !succeeded && !task.dryRun;
  await atOnce([
    notifyOfPlace(ctx, { task }),
    ...(failedPull
      ? [ctx.db.update(projects).set({ unpublished: true }).where(eq(projects.id, projectId))]
      : []),
    ...(carried ? [advanceReplica(ctx, { task, scanned: task.result!.scanned })] : []),
    ...(state === "queued" || distributes ? [] : [closeRunIfDone(ctx, { runId })]),
  ]);
  if (carried) await reportDrift(ctx, { task });
  if (role === "ftp" || state === "queued") return;
  if (distributes) {
    const project = await lockProject(ctx.db, { id: projectId });
    const [run] = await ctx.db.select().from(runs).where(eq(runs.id, runId));
    await distribute(ctx, { project, run: run!, pulled: await pulledBy(ctx, { task, run: run! }) });
  }
  await startQueuedRun(ctx, { project: await lockProject(ctx.db, { id: projectId }) });
}

/**
 * Keeps a superseded attempt's result as evidence. True when this very result had been accepted before;
 * an attempt that runs has another lease than the one that the result is of.
 */
async function keepLateResult(
  ctx: Ctx,
  { taskId, attempt, result }: { taskId: string; attempt: number; result: Result },
) {
  const [row] = await ctx.db
    .select()
    .from(attempts)
    .where(and(eq(attempts.taskId, taskId), eq(attempts.attempt, attempt)));
  if (row && row.state !== "superseded") return row.state !== "running";
  await ctx.db
    .update(attempts)
    .set({ result })
    .where(and(eq(attempts.taskId, taskId), eq(attempts.attempt, attempt)));
  return false;
}

/**
 * Takes the result of one attempt, with everything that follows from it, in one transaction.
 * Delivering it again does nothing. @throws AppError `not-found`, `stale-attempt`.
 */
export async function finishAttempt(
  ctx: Ctx,
  {
    taskId,
    attempt,
    lease,
    result,
  }: { taskId: string; attempt: number; lease?: string | undefined; result: Result },
): Promise<void> {
  const accepted = await ctx.db.transaction(async (tx) => {
    const inner = { ...ctx, db: tx };
    const found = await lockTask(inner, { taskId });
    if (!found) throw new AppError("not-found", "there is no such task");
    const { task, retrySeconds } = found;
    const holds = task.state === "leased" && task.attempt === attempt;
    if (!holds || (lease !== undefined && task.pollId !== lease))
      return keepLateResult(inner, { taskId, attempt, result });
    await endAttempt(inner, { task, retrySeconds, result });
    return true;
  });
  if (!accepted) {
    throw new AppError(
      "stale-attempt",
      `attempt ${attempt} lost its lease; its result is kept as evidence and changes nothing`,
    );
  }
}

/** Ends one attempt whose lease ran out. */
export async function expireAttempt(
  ctx: Ctx,
  { taskId, attempt }: { taskId: string; attempt: number },
): Promise<void> {
  await ctx.db.transaction(async (tx) => {
    const inner = { ...ctx, db: tx };
    const found = await lockTask(inner, { taskId });
    if (found?.hasExpired && found.task.state === "leased" && found.task.attempt === attempt)
      await endAttempt(inner, { ...found, result: null });
  });
}
