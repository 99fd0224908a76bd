import { and, eq, inArray, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Ctx } from "../context.ts";
import type { Transaction } from "../db/connect.ts";
import { projects, replicas, runs, tasks } from "../db/schema.ts";
import { distribute } from "./fan-out.ts";
import { notifyHost } from "./wake.ts";

export type ProjectRow = typeof projects.$inferSelect;
export type RunRow = typeof runs.$inferSelect;

/** Locks a project's row: whoever starts, queues or ends one of its runs holds it. */
export async function lockProject(
  tx: Transaction,
  { where }: { where: ReturnType<typeof eq> },
): Promise<ProjectRow> {
  const [project] = await tx.select().from(projects).where(where).for("update");
  if (!project) throw new AppError("not-found", "there is no such project");
  return project;
}

/** Begins a run that is in state `running`: a task on the master, or at once the FTP hosts where it is hosted here. */
async function beginRun(
  ctx: Ctx,
  tx: Transaction,
  { project, run }: { project: ProjectRow; run: RunRow },
): Promise<RunRow> {
  if (project.upstream === null) return distribute(ctx, tx, { project, run, changed: true });
  const [master] = await tx
    .select({ hostId: replicas.hostId })
    .from(replicas)
    .where(and(eq(replicas.projectId, project.id), eq(replicas.role, "master")));
  await tx.insert(tasks).values({
    runId: run.id,
    projectId: project.id,
    hostId: master!.hostId,
    role: "master",
    state: "queued",
    maxAttempts: project.maxAttempts,
    notBefore: sql`${ctx.now()}`,
    queuedAt: sql`${ctx.now()}`,
  });
  await notifyHost(tx, { hostId: master!.hostId });
  return run;
}

type NewRun = {
  project: ProjectRow;
  trigger: "schedule" | "manual";
  scheduledFor: Date | ReturnType<typeof sql>;
  approvedDeletions?: number | null;
  state: "running" | "queued" | "skipped";
  reason?: string;
};

async function insertRun(
  ctx: Ctx,
  tx: Transaction,
  { project, state, trigger, scheduledFor, approvedDeletions = null, reason }: NewRun,
) {
  const now = sql`${ctx.now()}`;
  // A second process may have taken the same occurrence: then nothing is inserted.
  const [run] = await tx
    .insert(runs)
    .values({
      projectId: project.id,
      trigger,
      scheduledFor: scheduledFor as Date,
      state,
      reason: reason ?? null,
      approvedDeletions,
      startedAt: state === "running" ? now : null,
      finishedAt: state === "skipped" ? now : null,
      createdAt: now,
    })
    .onConflictDoNothing()
    .returning();
  if (run && state === "running") return beginRun(ctx, tx, { project, run });
  return run;
}

async function activeRuns(tx: Transaction, { projectId }: { projectId: string }) {
  const rows = await tx
    .select()
    .from(runs)
    .where(and(eq(runs.projectId, projectId), inArray(runs.state, ["running", "queued"])));
  return {
    running: rows.find(({ state }) => state === "running"),
    queued: rows.find(({ state }) => state === "queued"),
  };
}

/** Adds the run of one occurrence; the caller holds the project's row. */
export async function addScheduledRun(
  ctx: Ctx,
  tx: Transaction,
  { project, scheduledFor, missed }: { project: ProjectRow; scheduledFor: Date; missed: boolean },
): Promise<void> {
  const occurrence = { project, trigger: "schedule" as const, scheduledFor };
  const active = await activeRuns(tx, { projectId: project.id });
  if (missed)
    await insertRun(ctx, tx, {
      ...occurrence,
      state: "skipped",
      reason: "missed its time, and the project's misfire policy is skip",
    });
  else if (!active.running) await insertRun(ctx, tx, { ...occurrence, state: "running" });
  else if (project.overlap === "queue-one" && !active.queued)
    await insertRun(ctx, tx, { ...occurrence, state: "queued" });
  else
    await insertRun(ctx, tx, {
      ...occurrence,
      state: "skipped",
      reason: "the project's run before was still pulling",
    });
}

/** Starts a run now or, during a pull, lets one run wait behind it: a trigger is never lost. */
export async function triggerRun(
  ctx: Ctx,
  { project: name, approvedDeletions }: { project: string; approvedDeletions: number | null },
): Promise<RunRow> {
  return ctx.db.transaction(async (tx) => {
    const project = await lockProject(tx, { where: eq(projects.name, name) });
    const { running, queued } = await activeRuns(tx, { projectId: project.id });
    if (queued) {
      const [widened] = await tx
        .update(runs)
        .set({
          approvedDeletions: sql`greatest(${runs.approvedDeletions}, ${approvedDeletions}::int)`,
        })
        .where(eq(runs.id, queued.id))
        .returning();
      return widened!;
    }
    const run = await insertRun(ctx, tx, {
      project,
      trigger: "manual",
      scheduledFor: sql`${ctx.now()}`,
      approvedDeletions,
      state: running ? "queued" : "running",
    });
    return run!;
  });
}

/** Starts the run that waits behind a pull which has ended; the caller holds the project's row. */
export async function startQueuedRun(
  ctx: Ctx,
  tx: Transaction,
  { project }: { project: ProjectRow },
): Promise<void> {
  const [run] = await tx
    .update(runs)
    .set({ state: "running", startedAt: sql`${ctx.now()}` })
    .where(and(eq(runs.projectId, project.id), eq(runs.state, "queued")))
    .returning();
  if (run) await beginRun(ctx, tx, { project, run });
}
