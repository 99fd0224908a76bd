import { and, eq, gt, inArray, ne, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Trigger } from "../../protocol/run.ts";
import type { TaskState } from "../../protocol/states.ts";
import type { Ctx } from "../context.ts";
import { keepFreshness } from "../db/queries/freshness.ts";
import { lockProject, type ProjectRow } from "../db/queries/projects.ts";
import { projects } from "../db/schema/projects.ts";
import { replicas } from "../db/schema/replicas.ts";
import { runs } from "../db/schema/runs.ts";
import { tasks } from "../db/schema/tasks.ts";
import { addTasks, closeLeft, hostsBehind } from "./fan-out.ts";
import { startDryRun, triggerRun } from "./start-run.ts";

/** A run that begins with the FTP hosts: they pull what the master has. The caller holds the project's row. */
async function distributeTo(
  ctx: Ctx,
  {
    project,
    hostIds,
    trigger,
    approvedDeletions = null,
  }: {
    project: ProjectRow;
    hostIds: string[];
    trigger: Trigger;
    approvedDeletions?: number | null;
  },
): Promise<string> {
  const now = sql`${ctx.now()}`;
  const [run] = await ctx.db
    .insert(runs)
    .values({
      projectId: project.id,
      trigger,
      state: "distributing",
      scheduledFor: now,
      approvedDeletions,
      generation: project.generation,
      startedAt: now,
      createdAt: now,
    })
    .returning();
  const hosts = sql`select id::uuid from json_array_elements_text(${JSON.stringify(hostIds)}::json) id`;
  const { rows } = await ctx.db.execute<{ left: string | null }>(
    addTasks(ctx, { project, runId: run!.id, hosts }),
  );
  await closeLeft(ctx, rows);
  return run!.id;
}

/** Does the master hold what the project has published? Not after a change of its path, until it has pulled anew. */
async function masterHolds(ctx: Ctx, { id, generation }: ProjectRow): Promise<boolean> {
  if (generation === 0) return false;
  const [master] = await ctx.db
    .select({ generation: replicas.generation })
    .from(replicas)
    .where(and(eq(replicas.projectId, id), eq(replicas.role, "master")));
  return master?.generation === generation;
}

async function checkMasterHolds(ctx: Ctx, project: ProjectRow): Promise<void> {
  if (!(await masterHolds(ctx, project)))
    throw new AppError("conflict", "the master has nothing to pull yet: sync the project first");
}

/** Brings the FTP hosts that are behind up to the published generation, unless they wait for it anyway. */
export async function catchUp(ctx: Ctx, { project }: { project: ProjectRow }): Promise<void> {
  if (project.pausedAt || !(await masterHolds(ctx, project))) return;
  const [running] = await ctx.db
    .select({ id: runs.id })
    .from(runs)
    .where(
      and(
        eq(runs.projectId, project.id),
        inArray(runs.state, ["running", "queued"]),
        ne(runs.trigger, "dry-run"),
      ),
    );
  // What pulls now will distribute to all of them.
  if (running) return;
  const { rows: behind } = await ctx.db.execute<{ id: string }>(hostsBehind(ctx, project));
  const busy = await ctx.db
    .select({ hostId: tasks.hostId })
    .from(tasks)
    .where(and(eq(tasks.projectId, project.id), inArray(tasks.state, ["queued", "leased"])));
  const hostIds = behind
    .map(({ id }) => id)
    .filter((id) => !busy.some(({ hostId }) => hostId === id));
  if (hostIds.length > 0) await distributeTo(ctx, { project, hostIds, trigger: "resync" });
}

/** States in which a task has not done what it was for. */
const undone = new Set<TaskState>(["failed", "cancelled", "lost"]);

async function lastMasterState(ctx: Ctx, { runId }: { runId: string }) {
  const rows = await ctx.db.select().from(tasks).where(eq(tasks.runId, runId));
  return { master: rows.find(({ role }) => role === "master"), rows };
}

/** Pulls a replica's project anew: through the upstream for the master's, from the master for another. Answers the run. */
export async function resyncReplica(
  ctx: Ctx,
  { project: name, hostId, role }: { project: string; hostId: string; role: "master" | "ftp" },
): Promise<string> {
  const project = await lockProject(ctx.db, { name });
  if (role === "master")
    return (await triggerRun(ctx, { project: name, trigger: "resync", approvedDeletions: null }))
      .id;
  await checkMasterHolds(ctx, project);
  await keepFreshness(ctx, { projectId: project.id, hostId }).execute();
  await ctx.db
    .update(replicas)
    .set({ generation: 0, scannedAt: null })
    .where(and(eq(replicas.projectId, project.id), eq(replicas.hostId, hostId)));
  return distributeTo(ctx, { project, hostIds: [hostId], trigger: "resync" });
}

/**
 * Tries again what failed or was cancelled in a run: the whole run where the pull did not succeed, else
 * the hosts that did not. Answers the new run. @throws AppError `not-found`, `conflict`.
 */
export async function retryRun(
  ctx: Ctx,
  { id, onlyTask }: { id: string; onlyTask?: string | undefined },
): Promise<string> {
  const [found] = await ctx.db
    .select({ run: runs, name: projects.name })
    .from(runs)
    .innerJoin(projects, eq(projects.id, runs.projectId))
    .where(eq(runs.id, id));
  if (!found) throw new AppError("not-found", "there is no such run");
  const project = await lockProject(ctx.db, { id: found.run.projectId });
  const { master, rows } = await lastMasterState(ctx, { runId: id });
  const again = rows.filter(
    (task) => undone.has(task.state) && (onlyTask === undefined || task.id === onlyTask),
  );
  if (again.length === 0 && found.run.state !== "skipped" && found.run.state !== "cancelled")
    throw new AppError("conflict", "nothing in it has failed or was cancelled");
  const pullsAgain = again.length === 0 || (master && again.includes(master));
  if (found.run.trigger === "dry-run") return (await startDryRun(ctx, { project: found.name })).id;
  if (pullsAgain && found.run.trigger === "undo")
    throw new AppError(
      "conflict",
      "a pull would delete again what was to come back: undo the project once more instead",
    );
  if (pullsAgain) {
    const approvedDeletions = found.run.approvedDeletions;
    return (await triggerRun(ctx, { project: found.name, trigger: "retry", approvedDeletions })).id;
  }
  if (project.pausedAt)
    throw new AppError("conflict", `project ${project.name} is paused: resume it first`);
  await checkMasterHolds(ctx, project);
  return distributeTo(ctx, {
    project,
    hostIds: again.map(({ hostId }) => hostId),
    trigger: "retry",
  });
}

/** Tries one failed or cancelled task again, in a new run. @throws AppError `not-found`, `conflict`. */
export async function retryTask(ctx: Ctx, { id }: { id: string }): Promise<string> {
  const [task] = await ctx.db.select().from(tasks).where(eq(tasks.id, id));
  if (!task) throw new AppError("not-found", "there is no such task");
  if (!undone.has(task.state))
    throw new AppError(
      "conflict",
      `the task has neither failed nor was it cancelled: it is ${task.state}`,
    );
  return retryRun(ctx, { id: task.runId, onlyTask: id });
}

/** A held task that has not been decided, and is still the latest of its replica. @throws AppError `not-found`, `conflict`. */
async function heldTask(ctx: Ctx, { id }: { id: string }) {
  const [task] = await ctx.db.select().from(tasks).where(eq(tasks.id, id)).for("update");
  if (!task) throw new AppError("not-found", "there is no such task");
  const held = task.result?.held;
  if (task.state !== "failed" || !held || task.dismissedAt)
    throw new AppError("conflict", "the task holds no deletions that wait for a decision");
  const [newer] = await ctx.db
    .select({ id: tasks.id })
    .from(tasks)
    .where(
      and(
        eq(tasks.projectId, task.projectId),
        eq(tasks.hostId, task.hostId),
        gt(tasks.queuedAt, task.queuedAt),
        eq(tasks.dryRun, false),
      ),
    )
    .limit(1);
  if (newer)
    throw new AppError("conflict", `task ${newer.id} came after it: decide on what that one holds`);
  return { task, held };
}

/** Lets the deletions that a task holds go, once, and no more than it named. Answers the new run. @throws AppError `not-found`, `conflict`. */
export async function approveHeld(ctx: Ctx, { id }: { id: string }): Promise<string> {
  const { task, held } = await heldTask(ctx, { id });
  const project = await lockProject(ctx.db, { id: task.projectId });
  const approvedDeletions = held.deletions;
  if (task.role === "master")
    return (await triggerRun(ctx, { project: project.name, trigger: "manual", approvedDeletions }))
      .id;
  if (project.pausedAt)
    throw new AppError("conflict", `project ${project.name} is paused: resume it first`);
  await checkMasterHolds(ctx, project);
  const hostIds = [task.hostId];
  return distributeTo(ctx, { project, hostIds, trigger: "manual", approvedDeletions });
}

/** Leaves the held files where they are; the next sync asks again. @throws AppError `not-found`, `conflict`. */
export async function dismissHeld(ctx: Ctx, { id }: { id: string }): Promise<void> {
  await heldTask(ctx, { id });
  await ctx.db
    .update(tasks)
    .set({ dismissedAt: sql`${ctx.now()}` })
    .where(eq(tasks.id, id));
}
