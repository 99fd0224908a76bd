import { and, eq, inArray, isNotNull, isNull, lt, or, type SQL, sql } from "drizzle-orm";
import type { ChangeList } from "../../protocol/report.ts";
import type { Ctx } from "../context.ts";
import { generationFreshAt, keepFreshness } from "../db/queries/freshness.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import { hosts, projects, replicas, runs, tasks } from "../db/schema.ts";
import { isDueToReconcile, keepChangeList } from "./change-lists.ts";
import { closeRunIfDone } from "./close-run.ts";
import { notifyHosts } from "./wake.ts";

type RunRow = typeof runs.$inferSelect;

/** FTP hosts that have an agent, are not paused for the project, and lack its generation or are to be reconciled. */
export async function hostsBehind(
  ctx: Pick<Ctx, "db" | "now">,
  { id, generation }: { id: string; generation: number },
): Promise<string[]> {
  const rows = await ctx.db
    .select({ hostId: replicas.hostId })
    .from(replicas)
    .innerJoin(hosts, eq(hosts.id, replicas.hostId))
    .innerJoin(projects, eq(projects.id, replicas.projectId))
    .where(
      and(
        eq(replicas.projectId, id),
        eq(replicas.role, "ftp"),
        or(lt(replicas.generation, generation), isDueToReconcile(ctx)),
        isNull(replicas.pausedAt),
        isNotNull(hosts.signingKey),
        isNull(hosts.revokedAt),
      ),
    );
  return rows.map(({ hostId }) => hostId);
}

/** Widens the hosts' waiting tasks of earlier runs: they become this run's. Answers those hosts. */
async function widenWaitingTasks(
  ctx: Ctx,
  { project, run, hostIds }: { project: ProjectRow; run: RunRow; hostIds: string[] },
): Promise<Set<string>> {
  const found = await ctx.db
    .select({ id: tasks.id, runId: tasks.runId, hostId: tasks.hostId })
    .from(tasks)
    .where(
      and(
        eq(tasks.projectId, project.id),
        inArray(tasks.hostId, hostIds),
        eq(tasks.role, "ftp"),
        eq(tasks.state, "queued"),
      ),
    )
    .for("update", { skipLocked: true });
  if (found.length === 0) return new Set();
  // One a host: another may wait beside it to be tried again.
  const waiting = [...new Map(found.map((task) => [task.hostId, task])).values()];
  const ids = waiting.map(({ id }) => id);
  await ctx.db.update(tasks).set({ runId: run.id }).where(inArray(tasks.id, ids));
  for (const runId of new Set(waiting.map((task) => task.runId)))
    await closeRunIfDone(ctx, { runId, reason: "a later run took its waiting hosts over" });
  return new Set(waiting.map(({ hostId }) => hostId));
}

/** Makes a run's tasks on FTP hosts; one that waits already is widened. The caller holds the project's row. */
export async function addTasks(
  ctx: Ctx,
  { project, run, hostIds }: { project: ProjectRow; run: RunRow; hostIds: string[] },
): Promise<void> {
  if (hostIds.length === 0) return;
  const widened = await widenWaitingTasks(ctx, { project, run, hostIds });
  const fresh = hostIds.filter((hostId) => !widened.has(hostId));
  if (fresh.length === 0) return;
  await ctx.db.insert(tasks).values(
    fresh.map((hostId) => ({
      runId: run.id,
      projectId: project.id,
      hostId,
      role: "ftp" as const,
      state: "queued" as const,
      maxAttempts: project.maxAttempts,
      notBefore: sql`${ctx.now()}`,
      queuedAt: sql`${ctx.now()}`,
    })),
  );
  await notifyHosts(ctx, { hostIds: fresh });
}

/**
 * What a pull brought. `size`: of the tree; null where it was not scanned. `freshAt`: when the
 * source had that; null where it is not what the source has.
 */
type Pulled = {
  changed: boolean;
  changeList: ChangeList | null;
  size: { files: number; bytes: number } | null;
  freshAt: Date | SQL | null;
};

/**
 * After a successful pull: publishes a generation where something changed, and makes one task for each
 * FTP host that is behind. The caller holds the project's row.
 */
export async function distribute(
  ctx: Ctx,
  { project, run, pulled }: { project: ProjectRow; run: RunRow; pulled: Pulled },
): Promise<RunRow> {
  const { changeList, size, freshAt } = pulled;
  const news =
    pulled.changed || changeList !== null || project.unpublished || project.generation === 0;
  const generation = project.generation + (news ? 1 : 0);
  if (news) await keepFreshness(ctx, { projectId: project.id });
  const fresh = freshAt !== null && { freshAt: freshAt as Date };
  await ctx.db
    .update(projects)
    .set({ generation, unpublished: false, ...fresh, ...size })
    .where(eq(projects.id, project.id));
  if (changeList) await keepChangeList(ctx, { projectId: project.id, generation, changeList });
  await ctx.db
    .update(replicas)
    .set({ generation, syncedAt: sql`${ctx.now()}`, syncedRoot: sql`${replicas.root}`, ...fresh })
    .where(and(eq(replicas.projectId, project.id), eq(replicas.role, "master")));
  const [distributing] = await ctx.db
    .update(runs)
    .set({ state: "distributing", generation })
    .where(and(eq(runs.id, run.id), eq(runs.state, "running")))
    .returning();
  const hostIds = await hostsBehind(ctx, { id: project.id, generation });
  await addTasks(ctx, { project, run, hostIds });
  const reason = news ? {} : { reason: "unchanged" };
  return (await closeRunIfDone(ctx, { runId: run.id, ...reason })) ?? distributing!;
}

/** Marks an FTP host's replica as carrying the generation that its run published. */
export async function advanceReplica(
  ctx: Ctx,
  {
    projectId,
    hostId,
    generation,
    scanned,
  }: { projectId: string; hostId: string; generation: number; scanned: boolean },
): Promise<void> {
  await ctx.db
    .update(replicas)
    .set({
      generation: sql`greatest(${replicas.generation}, ${generation})`,
      syncedAt: sql`${ctx.now()}`,
      syncedRoot: sql`${replicas.root}`,
      freshAt: sql`greatest(${replicas.freshAt}, ${generationFreshAt({ projectId, generation })})`,
      ...(scanned && { scannedAt: sql`${ctx.now()}` }),
    })
    .where(and(eq(replicas.projectId, projectId), eq(replicas.hostId, hostId)));
}
