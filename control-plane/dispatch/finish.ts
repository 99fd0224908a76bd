import { and, eq, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Result } from "../../protocol/report.ts";
import type { Ctx } from "../context.ts";
import { atOnce, transactAtOnce } from "../db/at-once.ts";
import { type Blanks, compiled, prepared } from "../db/compiled.ts";
import { databaseCode, lockNotAvailable } from "../db/database-errors.ts";
import { gather } from "../db/gather.ts";
import { lockProject } from "../db/queries/projects.ts";
import { projects } from "../db/schema/projects.ts";
import { runs } from "../db/schema/runs.ts";
import { attempts, tasks } from "../db/schema/tasks.ts";
import { reportDrift } from "./change-lists.ts";
import { closeRunIfDone } from "./close-run.ts";
import { endTask, type Leased, withResult } from "./end-tasks.ts";
import { distribute } from "./fan-out.ts";
import { startQueuedRun } from "./start-run.ts";
import { notifyOfPlaces } from "./wake.ts";

type TaskRow = typeof tasks.$inferSelect;

/** Tasks, and of their projects how soon they are tried again. */
const selectTasks = ({ db, now }: Pick<Ctx, "db" | "now">) =>
  db
    .select({
      task: tasks,
      retrySeconds: projects.retrySeconds,
      hasExpired: sql<boolean>`coalesce(${tasks.leaseUntil} < ${now()}, false)`,
    })
    .from(tasks)
    .innerJoin(projects, eq(projects.id, tasks.projectId));

const tasksToFinish = prepared((made, { ids }: Blanks<{ ids: string[] }>) =>
  selectTasks(made)
    .where(sql`${tasks.id} = any(${ids}::uuid[])`)
    .prepare("tasks to finish"),
);

const lockedTask = prepared((made, { id }: Blanks<{ id: string }>) =>
  selectTasks(made)
    .where(eq(tasks.id, id))
    .for("update", { of: [projects, tasks] })
    .prepare("lock task"),
);

/** One with both rows locked, the project's first, always: two results of one project must not wait for each other. */
async function lockTask(ctx: Ctx, { taskId: id }: { taskId: string }) {
  const [found] = await lockedTask(ctx, { id }).execute();
  return found;
}

/** Ends the attempt of a task that is leased and locked, with all that follows. Without a result its lease was lost. */
async function endAttempt(
  ctx: Ctx,
  { task, retrySeconds, result }: { task: TaskRow; retrySeconds: number; result: Result | null },
): Promise<void> {
  const ended = withResult(task, result);
  const [{ rows }] = await atOnce([
    endTask(ctx, { task: ended, retrySeconds }),
    ...changeAround(ctx, { task: ended }),
  ]);
  if (rows.length === 0) throw new Error(`task ${task.id} is locked, and has changed all the same`);
  await followEnd(ctx, { task: ended });
}

type Finished = { taskId: string; attempt: number; lease?: string | undefined; result: Result };

const holdsLease = (task: TaskRow, { attempt, lease }: Finished) =>
  task.state === "leased" &&
  task.attempt === attempt &&
  (lease === undefined || task.pollId === lease);

/** Longest time in milliseconds that results wait together for somebody who holds a project's row, for each row. */
const patienceMilliseconds = 300;

const lockProjects = compiled<{ ids: string[] }, unknown>(
  (_, { ids }) => sql`/* lock projects of tasks */
    select from set_config('lock_timeout', ${String(patienceMilliseconds)}, true) cross join projects
    where id = any(${ids}::uuid[])
    -- By name, as most do who lock several projects; who does not is waited for no longer than that.
    order by name for update of projects`,
);

const waitAsEver = compiled<object, unknown>(
  () => sql`/* wait for locks as ever */ select set_config('lock_timeout', '0', true)`,
);

/**
 * Ends FTP hosts' attempts as they were read, without a lock while anybody but the database is at work: thousands may
 * end at a time, of one project. Says of each whether it was ended; else it is another's, or has changed since, or more
 * is to follow.
 */
async function finishAsRead(ctx: Ctx, all: Finished[]): Promise<boolean[]> {
  const ids = [...new Set(all.map(({ taskId }) => taskId))];
  const found = new Map(
    (await tasksToFinish(ctx, { ids }).execute()).map((row) => [row.task.id, row]),
  );
  const ends = all.map((finished): Leased | null => {
    const { taskId, result } = finished;
    const row = found.get(taskId);
    if (row?.task.role !== "ftp" || !holdsLease(row.task, finished) || result.drift) return null;
    // Delivered twice at a time: the second comes after the first.
    found.delete(taskId);
    return { task: withResult(row.task, result), retrySeconds: row.retrySeconds };
  });
  const leased = ends.filter((each) => each !== null);
  if (leased.length === 0) return all.map(() => false);
  const projectIds = [...new Set(leased.map(({ task }) => task.projectId))];
  const over = leased.filter(({ task }) => task.state !== "queued");
  const runIds = [...new Set(over.map(({ task }) => task.runId))];
  const [, , ...ended] = await transactAtOnce(ctx.db, (tx) => {
    const inner = { ...ctx, db: tx };
    return [
      lockProjects(inner, { ids: projectIds }),
      waitAsEver(inner, {}),
      ...leased.map((each) => endTask(inner, each)),
      ...runIds.map((runId) => closeRunIfDone(inner, { runId })),
    ];
  });
  return ends.map((each) => each !== null && ended[leased.indexOf(each)]!.rows.length > 0);
}

/** The same for one, with those that come meanwhile. What cannot be done for all of them is done for each by itself. */
const finishTogether = gather(async (ctx: Ctx, all: Finished[]) =>
  finishAsRead(ctx, all).catch((err: unknown) => {
    const level = databaseCode(err) === lockNotAvailable ? "debug" : "warn";
    ctx.log[level]({ err }, "results are taken one by one");
    return all.map(() => false);
  }),
);

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

const markUnpublished = compiled<{ id: string }, unknown>(
  (_, { id }) =>
    sql`/* mark unpublished */ update projects set unpublished = true where id = ${id}`,
);

/** What a task's end changes of its project and its run, in statements that wait for nothing. */
function changeAround(ctx: Ctx, { task }: { task: TaskRow }) {
  const { runId, projectId: id, role, state, dryRun } = task;
  const succeeded = state === "succeeded";
  const pulled = role === "master" && !dryRun;
  return [
    ...(pulled && !succeeded ? [markUnpublished(ctx, { id })] : []),
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
 * All that follows from the end of a master's task that was not leased: fan-out after its success, the run's close, the
 * next run. The caller holds the project's row.
 */
export async function follow(ctx: Ctx, { task }: { task: TaskRow }): Promise<void> {
  const { hostId, projectId, role } = task;
  const ended = sql`(select ${projectId}::uuid project_id, ${hostId}::uuid host_id, ${role} role)`;
  await ctx.db.execute(notifyOfPlaces({ ended }));
  await atOnce(changeAround(ctx, { task }));
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
  if (await finishTogether(ctx, finished)) return;
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
