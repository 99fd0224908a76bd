import { and, eq, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Result } from "../../protocol/report.ts";
import { eventByOutcome } from "../../protocol/states.ts";
import type { Ctx } from "../context.ts";
import type { Transaction } from "../db/connect.ts";
import { attempts, projects, runs, tasks } from "../db/schema.ts";
import { closeRunIfDone } from "./close-run.ts";
import { advanceReplica, distribute } from "./fan-out.ts";
import { lockProject, startQueuedRun } from "./start-run.ts";
import { notifyHost } from "./wake.ts";

type TaskRow = typeof tasks.$inferSelect;

/** Seconds before attempt n + 1: 5, 10, 20 … 600, half of it by chance. */
function backOffSeconds(attempt: number): number {
  const ceiling = Math.min(600, 5 * 2 ** (attempt - 1));
  return ceiling / 2 + (Math.random() * ceiling) / 2;
}

/** Ends the leased attempt `attempt` of a task; undefined when that attempt holds no lease. */
async function finishTaskIfLeased(
  ctx: Ctx,
  tx: Transaction,
  {
    task,
    result,
    attemptState,
  }: { task: TaskRow; result: Result | null; attemptState: "succeeded" | "failed" | "superseded" },
): Promise<TaskRow | undefined> {
  const event = result ? eventByOutcome[result.outcome] : "retry";
  const again = event === "retry" && task.attempt < task.maxAttempts;
  const state = event === "succeed" ? "succeeded" : again ? "queued" : "failed";
  const now = ctx.now();
  const [ended] = await tx
    .update(tasks)
    .set({
      state,
      result,
      leaseUntil: null,
      pollId: null,
      notBefore: sql`${now} + ${again ? backOffSeconds(task.attempt) : 0} * interval '1 second'`,
      finishedAt: again ? null : sql`${now}`,
    })
    .where(and(eq(tasks.id, task.id), eq(tasks.attempt, task.attempt), eq(tasks.state, "leased")))
    .returning();
  if (!ended) return undefined;
  await tx
    .update(attempts)
    .set({ state: attemptState, result, finishedAt: sql`${now}` })
    .where(and(eq(attempts.taskId, task.id), eq(attempts.attempt, task.attempt)));
  return ended;
}

/** What follows from a task's end: fan-out after the master's success, the run's close, the next run. */
async function follow(
  ctx: Ctx,
  tx: Transaction,
  { task, changed }: { task: TaskRow; changed: boolean },
) {
  if (task.state === "queued") {
    await notifyHost(tx, { hostId: task.hostId });
    return;
  }
  const project = await lockProject(tx, { where: eq(projects.id, task.projectId) });
  const [run] = await tx.select().from(runs).where(eq(runs.id, task.runId));
  if (task.role === "master") {
    if (task.state === "succeeded") await distribute(ctx, tx, { project, run: run!, changed });
    else await closeRunIfDone(ctx, tx, { runId: task.runId });
    await startQueuedRun(ctx, tx, {
      project: await lockProject(tx, { where: eq(projects.id, project.id) }),
    });
    return;
  }
  if (task.state === "succeeded") {
    await advanceReplica(ctx, tx, {
      projectId: project.id,
      hostId: task.hostId,
      generation: run!.generation!,
    });
  }
  await closeRunIfDone(ctx, tx, { runId: task.runId });
}

/** Keeps a superseded attempt's result as evidence. True when this very result had been accepted before. */
async function keepLateResult(
  tx: Transaction,
  { taskId, attempt, result }: { taskId: string; attempt: number; result: Result },
) {
  const [row] = await tx
    .select()
    .from(attempts)
    .where(and(eq(attempts.taskId, taskId), eq(attempts.attempt, attempt)));
  if (row && row.state !== "superseded") return true;
  await tx
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
  { taskId, attempt, result }: { taskId: string; attempt: number; result: Result },
): Promise<void> {
  const accepted = await ctx.db.transaction(async (tx) => {
    const [found] = await tx.select().from(tasks).where(eq(tasks.id, taskId));
    if (!found) throw new AppError("not-found", "there is no such task");
    // The project's row first, always: two results of one project must not wait for each other.
    await lockProject(tx, { where: eq(projects.id, found.projectId) });
    const [task] = await tx.select().from(tasks).where(eq(tasks.id, taskId)).for("update");
    const attemptState = eventByOutcome[result.outcome] === "succeed" ? "succeeded" : "failed";
    const ended =
      task!.attempt === attempt
        ? await finishTaskIfLeased(ctx, tx, { task: task!, result, attemptState })
        : undefined;
    if (!ended) return keepLateResult(tx, { taskId, attempt, result });
    await follow(ctx, tx, { task: ended, changed: result.changes > 0 });
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
    const [found] = await tx.select().from(tasks).where(eq(tasks.id, taskId));
    if (!found) return;
    await lockProject(tx, { where: eq(projects.id, found.projectId) });
    const [task] = await tx
      .select()
      .from(tasks)
      .where(
        and(
          eq(tasks.id, taskId),
          eq(tasks.attempt, attempt),
          sql`${tasks.leaseUntil} < ${ctx.now()}`,
        ),
      )
      .for("update");
    if (!task) return;
    const ended = await finishTaskIfLeased(ctx, tx, {
      task,
      result: null,
      attemptState: "superseded",
    });
    if (ended) await follow(ctx, tx, { task: ended, changed: false });
  });
}
