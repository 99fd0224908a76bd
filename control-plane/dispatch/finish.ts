import { and, eq, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Result } from "../../protocol/report.ts";
import { type AttemptState, eventByOutcome } from "../../protocol/states.ts";
import type { Ctx } from "../context.ts";
import { atOnce, transactAtOnce } from "../db/at-once.ts";
import { databaseCode } from "../db/database-errors.ts";
import { lockProject } from "../db/queries/projects.ts";
import { countAttempt, countWait } from "../db/queries/totals.ts";
import { projects } from "../db/schema/projects.ts";
import { runs } from "../db/schema/runs.ts";
import { attempts, tasks } from "../db/schema/tasks.ts";
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

/** A task, and of its project how soon it is tried again. */
const selectTask = (ctx: Ctx, { taskId }: { taskId: string }) =>
  ctx.db
    .select({
      task: tasks,
      retrySeconds: projects.retrySeconds,
      hasExpired: sql<boolean>`coalesce(${tasks.leaseUntil} < ${ctx.now()}, false)`,
    })
    .from(tasks)
    .innerJoin(projects, eq(projects.id, tasks.projectId))
    .where(eq(tasks.id, taskId));

/** The same with both rows locked, the project's first, always: two results of one project must not wait for each other. */
async function lockTask(ctx: Ctx, input: { taskId: string }) {
  const locked = selectTask(ctx, input).for("update", { of: [projects, tasks] });
  const [found] = await locked.prepare("lock task").execute();
  return found;
}

/** Ends the attempt of a task that is leased as it was read. Where it is not, this fails with `changed`, and so does its transaction. */
const endTaskIfLeased = (
  { db, now }: Ctx,
  { task, retrySeconds }: { task: TaskRow; retrySeconds: number },
) => {
  const { id, attempt, state, result } = task;
  const kept = result && JSON.stringify(result);
  const pauseSeconds = state === "queued" ? backOffSeconds({ attempt, first: retrySeconds }) : 0;
  return db.execute(sql`/* end task */
    with ended as (
      update tasks set state = ${state}, result = ${kept}::jsonb,
        lease_until = null, poll_id = null,
        not_before = ${now()} + ${pauseSeconds} * interval '1 second',
        finished_at = case when ${state} = 'queued' then null else ${now()} end
      where id = ${id} and attempt = ${attempt} and state = 'leased' and poll_id = ${task.pollId}
        and cancel_requested_at is not distinct from ${task.cancelRequestedAt?.toISOString() ?? null}::timestamptz
      returning id, attempt, result),
    kept as (
      update attempts set state = ${attemptStateOf(result)}, result = ended.result, finished_at = ${now()}
      from ended where attempts.task_id = ended.id and attempts.attempt = ended.attempt)
    select 1 / count(*) from ended`);
};
/** Division by zero. */
const changed = "22012";

/** Ends an attempt, and tells whom that concerns, all in one go. What is to be known of the task's end before more follows is not in it. */
const endInOneGo = (ctx: Ctx, { task, retrySeconds }: { task: TaskRow; retrySeconds: number }) => [
  endTaskIfLeased(ctx, { task, retrySeconds }),
  // What only looked is no sync; a lease that ran out is one all the same.
  ...(task.dryRun && task.result !== null ? [] : [countAttempt(ctx, task)]),
  ...(task.attempt === 1 ? [countWait(ctx, { task })] : []),
  ...tellOfEnd(ctx, { task }),
];

/** Ends the attempt of a task that is leased and locked, with all that follows. Without a result its lease was lost. */
async function endAttempt(
  ctx: Ctx,
  { task, retrySeconds, result }: { task: TaskRow; retrySeconds: number; result: Result | null },
): Promise<void> {
  const ended: TaskRow = { ...task, result, state: nextState({ task, result }) };
  await atOnce(endInOneGo(ctx, { task: ended, retrySeconds }));
  await followEnd(ctx, { task: ended });
}

type Finished = { taskId: string; attempt: number; lease?: string | undefined; result: Result };

const holdsLease = (task: TaskRow, { attempt, lease }: Finished) =>
  task.state === "leased" &&
  task.attempt === attempt &&
  (lease === undefined || task.pollId === lease);

/**
 * Ends an FTP host's attempt as it was read, without a lock while anybody but the database is at work: thousands may end
 * at a time, of one project. False where it is another's, or has changed since, or more is to follow.
 */
async function finishAsRead(ctx: Ctx, finished: Finished): Promise<boolean> {
  const { result } = finished;
  const [found] = await selectTask(ctx, finished).prepare("task to finish").execute();
  if (found?.task.role !== "ftp" || !holdsLease(found.task, finished) || result.drift) return false;
  const { task, retrySeconds } = found;
  const ended: TaskRow = { ...task, result, state: nextState({ task, result }) };
  try {
    await transactAtOnce(ctx.db, (tx) => [
      tx.execute(sql`/* lock project of a task */
        select from projects where id = ${task.projectId} for update`),
      ...endInOneGo({ ...ctx, db: tx }, { task: ended, retrySeconds }),
    ]);
    return true;
  } catch (error) {
    if (databaseCode(error) === changed) return false;
    throw error;
  }
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

/** What a task's end changes around it, and whom it wakes, in statements that wait for nothing. */
function tellOfEnd(ctx: Ctx, { task }: { task: TaskRow }) {
  const { runId, projectId, role, state, dryRun } = task;
  const succeeded = state === "succeeded";
  const pulled = role === "master" && !dryRun;
  return [
    notifyOfPlace(ctx, { task }),
    ...(pulled && !succeeded
      ? [ctx.db.update(projects).set({ unpublished: true }).where(eq(projects.id, projectId))]
      : []),
    ...(role === "ftp" && succeeded
      ? [advanceReplica(ctx, { task, scanned: task.result!.scanned })]
      : []),
    ...(state === "queued" || (pulled && succeeded) ? [] : [closeRunIfDone(ctx, { runId })]),
  ];
}

/** What follows from a task's end: fan-out after the master's success, the next run. */
async function followEnd(ctx: Ctx, { task }: { task: TaskRow }): Promise<void> {
  const { runId, projectId: id, role, state, dryRun } = task;
  if (role === "ftp" && state === "succeeded") await reportDrift(ctx, { task });
  if (role === "ftp" || state === "queued") return;
  if (state === "succeeded" && !dryRun) {
    const project = await lockProject(ctx.db, { id });
    const [run] = await ctx.db.select().from(runs).where(eq(runs.id, runId));
    await distribute(ctx, { project, run: run!, pulled: await pulledBy(ctx, { task, run: run! }) });
  }
  await startQueuedRun(ctx, { project: await lockProject(ctx.db, { id }) });
}

/**
 * All that follows from the end of a task that was not leased: fan-out after the master's success, the run's close, the
 * next run. The caller holds the project's row.
 */
export async function follow(ctx: Ctx, { task }: { task: TaskRow }): Promise<void> {
  await atOnce(tellOfEnd(ctx, { task }));
  await followEnd(ctx, { task });
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
export async function finishAttempt(ctx: Ctx, finished: Finished): Promise<void> {
  if (await finishAsRead(ctx, finished)) return;
  const { taskId, attempt, result } = finished;
  const accepted = await ctx.db.transaction(async (tx) => {
    const inner = { ...ctx, db: tx };
    const found = await lockTask(inner, { taskId });
    if (!found) throw new AppError("not-found", "there is no such task");
    if (!holdsLease(found.task, finished))
      return keepLateResult(inner, { taskId, attempt, result });
    await endAttempt(inner, { ...found, result });
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
