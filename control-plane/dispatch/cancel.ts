import { and, eq, inArray, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Ctx } from "../context.ts";
import { lockProject } from "../db/queries/projects.ts";
import { countRun } from "../db/queries/totals.ts";
import { projects } from "../db/schema/projects.ts";
import { runs } from "../db/schema/runs.ts";
import { tasks } from "../db/schema/tasks.ts";
import { closeRunIfDone } from "./close-run.ts";
import { startQueuedRun } from "./start-run.ts";
import { notifyHosts } from "./wake.ts";

const finishedStates = new Set(["succeeded", "failed", "cancelled", "skipped"]);

/** Cancels what waits, and asks for the end of what runs. Answers the runs concerned. */
async function cancelTasks(ctx: Ctx, { where }: { where: ReturnType<typeof and> }) {
  const now = sql`${ctx.now()}`;
  const waiting = await ctx.db
    .update(tasks)
    .set({ state: "cancelled", finishedAt: now })
    .where(and(where, eq(tasks.state, "queued")))
    .returning({ runId: tasks.runId });
  const leased = await ctx.db
    .update(tasks)
    .set({ cancelRequestedAt: now })
    .where(and(where, eq(tasks.state, "leased")))
    .returning({ runId: tasks.runId, hostId: tasks.hostId });
  // Its held poll brings it the word, if that is sooner than its next heartbeat.
  await notifyHosts(ctx, { hostIds: leased.map(({ hostId }) => hostId) });
  return [...new Set([...waiting, ...leased].map(({ runId }) => runId))];
}

/** Cancels the waiting tasks of some hosts, for a project whose row the caller holds. */
export async function cancelWaiting(
  ctx: Ctx,
  { projectId, hostIds, reason }: { projectId: string; hostIds: string[]; reason: string },
): Promise<void> {
  if (hostIds.length === 0) return;
  const runIds = await cancelTasks(ctx, {
    where: and(eq(tasks.projectId, projectId), inArray(tasks.hostId, hostIds)),
  });
  for (const runId of runIds) await closeRunIfDone(ctx, { runId, reason }).execute();
}

/**
 * Cancels a run: what waits at once, what runs when its agent says so.
 * @throws AppError `not-found`, `conflict` for one that has ended.
 */
export async function cancelRun(ctx: Ctx, { id }: { id: string }): Promise<void> {
  const [found] = await ctx.db.select().from(runs).where(eq(runs.id, id));
  if (!found) throw new AppError("not-found", "there is no such run");
  const project = await lockProject(ctx.db, { id: found.projectId });
  const [run] = await ctx.db.select().from(runs).where(eq(runs.id, id)).for("update");
  if (finishedStates.has(run!.state))
    throw new AppError("conflict", `the run has ended already: it is ${run!.state}`);
  const reason = "cancelled by an operator";
  if (run!.state === "queued") {
    await ctx.db
      .update(runs)
      .set({ state: "cancelled", reason, finishedAt: sql`${ctx.now()}` })
      .where(and(eq(runs.id, id), eq(runs.state, "queued")));
    await countRun(ctx, { projectId: project.id, state: "cancelled" });
    return;
  }
  await cancelTasks(ctx, { where: eq(tasks.runId, id) });
  const { rows: closed } = await closeRunIfDone(ctx, { runId: id, reason }).execute();
  if (closed.length > 0) await startQueuedRun(ctx, { project });
}

/** Cancels one task. @throws AppError `not-found`, `conflict` for one that has ended. */
export async function cancelTask(ctx: Ctx, { id }: { id: string }): Promise<void> {
  const [found] = await ctx.db.select().from(tasks).where(eq(tasks.id, id));
  if (!found) throw new AppError("not-found", "there is no such task");
  const project = await lockProject(ctx.db, { id: found.projectId });
  const runIds = await cancelTasks(ctx, { where: eq(tasks.id, id) });
  const [runId] = runIds;
  if (runId === undefined)
    throw new AppError("conflict", `the task has ended already: it is ${found.state}`);
  const { rows: closed } = await closeRunIfDone(ctx, {
    runId,
    reason: "cancelled by an operator",
  }).execute();
  if (closed.length > 0 && found.role === "master") await startQueuedRun(ctx, { project });
}

/** Asks for the end of what runs on a host, and cancels what waits for it; for emergencies. */
export async function cancelHost(ctx: Ctx, { hostId }: { hostId: string }): Promise<void> {
  const active = await ctx.db
    .select({ id: tasks.id })
    .from(tasks)
    .innerJoin(projects, eq(projects.id, tasks.projectId))
    .where(and(eq(tasks.hostId, hostId), inArray(tasks.state, ["queued", "leased"])))
    .orderBy(projects.name);
  for (const { id } of active) await unlessEnded(cancelTask(ctx, { id }));
}

/** One may have ended between a listing and now: that is what was wanted. */
async function unlessEnded(cancelled: Promise<void>): Promise<void> {
  await cancelled.catch((error: unknown) => {
    if (!(error instanceof AppError) || error.code !== "conflict") throw error;
  });
}

/** Asks for the end of everything that runs, and cancels what waits; for emergencies. */
export async function cancelEverything(ctx: Ctx): Promise<void> {
  const active = await ctx.db
    .select({ id: runs.id })
    .from(runs)
    .innerJoin(projects, eq(projects.id, runs.projectId))
    .where(inArray(runs.state, ["queued", "running", "distributing"]))
    // By name, as everybody who locks several projects does; what waits first, lest it start.
    .orderBy(projects.name, sql`${runs.state} <> 'queued'`);
  for (const { id } of active) await unlessEnded(cancelRun(ctx, { id }));
}
