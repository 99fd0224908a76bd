import { and, eq, isNotNull, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Result } from "../../protocol/report.ts";
import { type AttemptState, eventByOutcome } from "../../protocol/states.ts";
import type { Ctx } from "../context.ts";
import { masterIds } from "../db/queries/hosts.ts";
import { lockProject, type ProjectRow } from "../db/queries/projects.ts";
import { countAttempt, countWait } from "../db/queries/totals.ts";
import { attempts, hosts, projects, replicas, runs, tasks } from "../db/schema.ts";
import { reportDrift } from "./change-lists.ts";
import { closeRunIfDone } from "./close-run.ts";
import { advanceReplica, distribute } from "./fan-out.ts";
import { startQueuedRun } from "./start-run.ts";
import { notifyHosts, notifyWaitingFor } from "./wake.ts";

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

/** Ends the leased attempt `attempt` of a task; undefined when that attempt holds no lease. */
async function finishTaskIfLeased(
  ctx: Ctx,
  { task, result, retrySeconds }: { task: TaskRow; result: Result | null; retrySeconds: number },
): Promise<TaskRow | undefined> {
  const state = nextState({ task, result });
  const again = state === "queued";
  const pause = again ? backOffSeconds({ attempt: task.attempt, first: retrySeconds }) : 0;
  const now = ctx.now();
  const [ended] = await ctx.db
    .update(tasks)
    .set({
      state,
      result,
      leaseUntil: null,
      pollId: null,
      notBefore: sql`${now} + ${pause} * interval '1 second'`,
      finishedAt: again ? null : sql`${now}`,
    })
    .where(and(eq(tasks.id, task.id), eq(tasks.attempt, task.attempt), eq(tasks.state, "leased")))
    .returning();
  if (!ended) return undefined;
  await ctx.db
    .update(attempts)
    .set({ state: attemptStateOf(result), result, finishedAt: sql`${now}` })
    .where(and(eq(attempts.taskId, task.id), eq(attempts.attempt, task.attempt)));
  // What only looked is no sync; a lease that ran out is one all the same.
  if (!ended.dryRun || result === null) await countAttempt(ctx, { ...ended, result });
  await countWait(ctx, { task: ended });
  return ended;
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

/** A place at the master is free; where it has a limit, somebody may wait for that. */
async function notifyHostsOfMaster(ctx: Ctx, { projectId }: { projectId: string }): Promise<void> {
  const [limited] = await ctx.db
    .select({ id: hosts.id })
    .from(replicas)
    .innerJoin(hosts, eq(hosts.id, replicas.hostId))
    .where(
      and(eq(replicas.projectId, projectId), eq(replicas.role, "master"), isNotNull(hosts.serves)),
    );
  if (limited) await notifyWaitingFor(ctx, { masterId: limited.id });
}

/**
 * What follows from a task's end: fan-out after the master's success, the run's close, the next run. The
 * caller holds the project's row.
 */
export async function follow(
  ctx: Ctx,
  { task, project }: { task: TaskRow; project: ProjectRow },
): Promise<void> {
  // Its place is free: for what waits on this host and, after a pull, for pulls from the same upstream.
  const masters = task.role === "master" ? await masterIds(ctx) : [];
  await notifyHosts(ctx, { hostIds: [...new Set([task.hostId, ...masters])] });
  if (task.role === "ftp") await notifyHostsOfMaster(ctx, { projectId: task.projectId });
  if (task.role === "master" && !task.dryRun && task.state !== "succeeded")
    await ctx.db.update(projects).set({ unpublished: true }).where(eq(projects.id, task.projectId));
  if (task.state === "queued") return;
  const [run] = await ctx.db.select().from(runs).where(eq(runs.id, task.runId));
  if (task.role === "master") {
    if (task.state === "succeeded" && !task.dryRun)
      await distribute(ctx, {
        project,
        run: run!,
        pulled: await pulledBy(ctx, { task, run: run! }),
      });
    else await closeRunIfDone(ctx, { runId: task.runId });
    await startQueuedRun(ctx, {
      project: await lockProject(ctx.db, { where: eq(projects.id, project.id) }),
    });
    return;
  }
  if (task.state === "succeeded") {
    await advanceReplica(ctx, {
      projectId: project.id,
      hostId: task.hostId,
      generation: run!.generation!,
      scanned: task.result!.scanned,
    });
    await reportDrift(ctx, { task });
  }
  await closeRunIfDone(ctx, { runId: task.runId });
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
    const [found] = await tx
      .select({ projectId: tasks.projectId })
      .from(tasks)
      .where(eq(tasks.id, taskId));
    if (!found) throw new AppError("not-found", "there is no such task");
    // The project's row first, always: two results of one project must not wait for each other.
    const project = await lockProject(tx, { where: eq(projects.id, found.projectId) });
    const { retrySeconds } = project;
    const [task] = await tx.select().from(tasks).where(eq(tasks.id, taskId)).for("update");
    const ended =
      task!.attempt === attempt && (lease === undefined || task!.pollId === lease)
        ? await finishTaskIfLeased(inner, { task: task!, result, retrySeconds })
        : undefined;
    if (!ended) return keepLateResult(inner, { taskId, attempt, result });
    await follow(inner, { task: ended, project });
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
    const [found] = await tx.select().from(tasks).where(eq(tasks.id, taskId));
    if (!found) return;
    const project = await lockProject(tx, { where: eq(projects.id, found.projectId) });
    const { retrySeconds } = project;
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
    const ended = await finishTaskIfLeased(inner, { task, result: null, retrySeconds });
    if (ended) await follow(inner, { task: ended, project });
  });
}
