import { randomUUID } from "node:crypto";
import { and, eq, notExists, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { RunDetail, Trigger } from "../../protocol/run.ts";
import type { Ctx } from "../context.ts";
import { lockProject, type ProjectRow } from "../db/queries/projects.ts";
import { readRun } from "../db/queries/runs.ts";
import { runs } from "../db/schema/runs.ts";
import {
  activeRuns,
  beginRun,
  checkFleetNotPaused,
  insertRun,
  isHostedHere,
  type RunRow,
} from "./insert-run.ts";

/**
 * Locks a project of which a run is to start, and reads what is under way; sent in one go, the lock first.
 * @throws AppError `not-found`, `conflict` where the fleet is paused.
 */
async function lockForRun(ctx: Ctx, { project: name }: { project: string }) {
  const [project, active] = await Promise.all([
    lockProject(ctx.db, { name }),
    activeRuns(ctx, { project: name }),
    checkFleetNotPaused(ctx),
  ]);
  return { project, ...active };
}

/**
 * Starts a run now or, during a pull, lets one run wait behind it: a trigger is never lost. `detail` is read by what has
 * been sent with all else.
 * @throws AppError `not-found`, `conflict` where the project or the fleet is paused.
 */
export async function sendTrigger(
  ctx: Ctx,
  {
    project: name,
    trigger,
    approvedDeletions,
  }: { project: string; trigger: Trigger; approvedDeletions: number | null },
): Promise<{ id: string; detail: Promise<RunDetail> }> {
  const { project, running, queued, distributing } = await lockForRun(ctx, { project: name });
  if (project.pausedAt)
    throw new AppError("conflict", `project ${project.name} is paused: resume it first`);
  if (queued) {
    await ctx.db
      .update(runs)
      .set({
        approvedDeletions: sql`greatest(${runs.approvedDeletions}, ${approvedDeletions}::int)`,
      })
      .where(eq(runs.id, queued.id));
    return { id: queued.id, detail: readRun(ctx, { id: queued.id }) };
  }
  const id = randomUUID();
  const state = running ? "queued" : "running";
  const run = { id, project, trigger, scheduledFor: null, approvedDeletions, state } as const;
  // The second sees what the first does: they are sent in this order.
  const started = Promise.all([insertRun(ctx, run), readRun(ctx, { id })]);
  const detail = started.then(([, read]) => read);
  detail.catch(() => undefined);
  // What waits for hosts is taken over from a run that distributes, and more may follow from that.
  if (distributing) await detail;
  return { id, detail };
}

/** The same, and waits for what was sent. */
export async function triggerRun(
  ctx: Ctx,
  input: Parameters<typeof sendTrigger>[1],
): Promise<RunDetail> {
  const { detail } = await sendTrigger(ctx, input);
  return detail;
}

/**
 * Starts a run that only lists what a pull would do. It may be paused: nothing changes.
 * @throws AppError `not-found`, `conflict` where it is hosted here, something of it runs, or the fleet is paused.
 */
export async function startDryRun(
  ctx: Ctx,
  { project: name }: { project: string },
): Promise<RunRow> {
  const { project, running } = await lockForRun(ctx, { project: name });
  if (isHostedHere(project))
    throw new AppError(
      "conflict",
      `project ${project.name} is hosted here: there is no upstream to compare it with`,
    );
  if (running)
    throw new AppError(
      "conflict",
      `run ${running.id} of the project is not over: wait, or cancel it`,
    );
  const run = await insertRun(ctx, {
    project,
    trigger: "dry-run",
    scheduledFor: null,
    state: "running",
  });
  return run!;
}

/** Starts the run that waits, unless another pulls; the caller holds the project's row. */
export async function startQueuedRun(
  ctx: Ctx,
  { project }: { project: ProjectRow },
): Promise<void> {
  const pulling = ctx.db
    .select({ id: runs.id })
    .from(runs)
    .where(and(eq(runs.projectId, project.id), eq(runs.state, "running")));
  const [run] = await ctx.db
    .update(runs)
    .set({ state: "running", startedAt: sql`${ctx.now()}` })
    .where(and(eq(runs.projectId, project.id), eq(runs.state, "queued"), notExists(pulling)))
    .returning();
  if (run) await beginRun(ctx, { project, run });
}
