import { and, eq, inArray, lt, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import type { Transaction } from "../db/connect.ts";
import { projects, replicas, runs, tasks } from "../db/schema.ts";
import { closeRunIfDone } from "./close-run.ts";
import type { ProjectRow, RunRow } from "./start-run.ts";
import { notifyHost } from "./wake.ts";

/** FTP hosts whose replica is behind the project's generation. */
function hostsBehind(
  tx: Transaction,
  { projectId, generation }: { projectId: string; generation: number },
) {
  return tx
    .select({ hostId: replicas.hostId })
    .from(replicas)
    .where(
      and(
        eq(replicas.projectId, projectId),
        eq(replicas.role, "ftp"),
        lt(replicas.generation, generation),
      ),
    );
}

/** Widens the host's waiting task of an earlier run, if it has one: it becomes this run's. */
async function widenWaitingTask(
  ctx: Ctx,
  tx: Transaction,
  { project, run, hostId }: { project: ProjectRow; run: RunRow; hostId: string },
) {
  const [waiting] = await tx
    .select({ id: tasks.id, runId: tasks.runId })
    .from(tasks)
    .where(
      and(
        eq(tasks.projectId, project.id),
        eq(tasks.hostId, hostId),
        eq(tasks.role, "ftp"),
        eq(tasks.state, "queued"),
      ),
    )
    .for("update", { skipLocked: true });
  if (!waiting) return false;
  await tx.update(tasks).set({ runId: run.id }).where(eq(tasks.id, waiting.id));
  await closeRunIfDone(ctx, tx, {
    runId: waiting.runId,
    reason: "a later run took its waiting hosts over",
  });
  return true;
}

/**
 * After a successful pull: publishes a generation where something changed, and makes one task for each
 * FTP host that is behind. The caller holds the project's row.
 */
export async function distribute(
  ctx: Ctx,
  tx: Transaction,
  { project, run, changed }: { project: ProjectRow; run: RunRow; changed: boolean },
): Promise<RunRow> {
  const generation = project.generation + (changed || project.generation === 0 ? 1 : 0);
  await tx.update(projects).set({ generation }).where(eq(projects.id, project.id));
  await tx
    .update(replicas)
    .set({ generation, syncedAt: sql`${ctx.now()}` })
    .where(and(eq(replicas.projectId, project.id), eq(replicas.role, "master")));
  const [distributing] = await tx
    .update(runs)
    .set({ state: "distributing", generation })
    .where(and(eq(runs.id, run.id), eq(runs.state, "running")))
    .returning();
  const behind = await hostsBehind(tx, { projectId: project.id, generation });
  for (const { hostId } of behind) {
    if (await widenWaitingTask(ctx, tx, { project, run, hostId })) continue;
    await tx.insert(tasks).values({
      runId: run.id,
      projectId: project.id,
      hostId,
      role: "ftp",
      state: "queued",
      maxAttempts: project.maxAttempts,
      notBefore: sql`${ctx.now()}`,
      queuedAt: sql`${ctx.now()}`,
    });
    await notifyHost(tx, { hostId });
  }
  return (await closeRunIfDone(ctx, tx, { runId: run.id })) ?? distributing!;
}

/** Marks an FTP host's replica as carrying the generation that its run published. */
export async function advanceReplica(
  ctx: Ctx,
  tx: Transaction,
  { projectId, hostId, generation }: { projectId: string; hostId: string; generation: number },
): Promise<void> {
  await tx
    .update(replicas)
    .set({
      generation: sql`greatest(${replicas.generation}, ${generation})`,
      syncedAt: sql`${ctx.now()}`,
    })
    .where(and(eq(replicas.projectId, projectId), inArray(replicas.hostId, [hostId])));
}
