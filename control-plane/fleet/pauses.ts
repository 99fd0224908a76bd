import { and, eq, sql } from "drizzle-orm";
import type { Host } from "../../protocol/host.ts";
import type { Project, Replica } from "../../protocol/project.ts";
import type { Settings } from "../../protocol/settings.ts";
import type { Ctx } from "../context.ts";
import { hostIds, lockHost, readHost, updateHost } from "../db/queries/hosts.ts";
import { lockProject, readProject } from "../db/queries/projects.ts";
import { readReplica } from "../db/queries/replicas.ts";
import { readSettings, updateSettings } from "../db/queries/settings.ts";
import { projects } from "../db/schema/projects.ts";
import { replicas } from "../db/schema/replicas.ts";
import { cancelEverything, cancelHost } from "../dispatch/cancel.ts";
import { catchUp } from "../dispatch/resync.ts";
import { notifyHosts } from "../dispatch/wake.ts";
import { nextRun } from "../schedule/next-run.ts";
import { catchUpHost } from "./placement.ts";

type Change<View> = { before: View; after: View };

/** Stops or starts a project's schedule and triggers; what runs goes on. @throws AppError `not-found`. */
export async function pauseProject(
  ctx: Ctx,
  { name, paused }: { name: string; paused: boolean },
): Promise<Change<Project>> {
  const stored = await lockProject(ctx.db, { name });
  const before = await readProject(ctx, { name });
  if (before.paused === paused) return { before, after: before };
  const { schedule } = stored;
  const nextRunAt =
    paused || schedule === null ? null : nextRun({ ...stored, schedule }, { after: new Date() });
  const [project] = await ctx.db
    .update(projects)
    .set({
      pausedAt: paused ? sql`${ctx.now()}` : null,
      nextRunAt,
      version: sql`${projects.version} + 1`,
    })
    .where(eq(projects.id, stored.id))
    .returning();
  if (!paused) await catchUp(ctx, { project: project! });
  return { before, after: await readProject(ctx, { name }) };
}

/** Stops or starts one host's share of a project; back again, it catches up. @throws AppError `not-found`. */
export async function pauseReplica(
  ctx: Ctx,
  { project: name, host, paused }: { project: string; host: string; paused: boolean },
): Promise<Change<Replica>> {
  const project = await lockProject(ctx.db, { name });
  const { view: before, row } = await readReplica(ctx, { project: name, host });
  if (before.paused === paused) return { before, after: before };
  const { projectId, hostId } = row.replica;
  await ctx.db
    .update(replicas)
    .set({ pausedAt: paused ? sql`${ctx.now()}` : null })
    .where(and(eq(replicas.projectId, projectId), eq(replicas.hostId, hostId)));
  if (!paused) {
    await catchUp(ctx, { project });
    await notifyHosts(ctx, { hostIds: [hostId] });
  }
  return { before, after: (await readReplica(ctx, { project: name, host })).view };
}

/**
 * Stops giving a host tasks; what runs on it goes on, unless it is to be cancelled with what waits.
 * @throws AppError `not-found`.
 */
export async function drainHost(
  ctx: Ctx,
  { name, cancelRunning }: { name: string; cancelRunning: boolean },
): Promise<Change<Host>> {
  const { id, drainedAt } = await lockHost(ctx, { name });
  const before = await readHost(ctx, { name });
  const now = sql`${ctx.now()}` as unknown as Date;
  if (drainedAt === null) await updateHost(ctx, { id, values: { drainedAt: now } });
  if (cancelRunning) await cancelHost(ctx, { hostId: id });
  return { before, after: await readHost(ctx, { name }) };
}

/** Gives a drained host tasks again; what was cancelled there catches up. @throws AppError `not-found`. */
export async function resumeHost(ctx: Ctx, { name }: { name: string }): Promise<Change<Host>> {
  const { id, drainedAt } = await lockHost(ctx, { name });
  const before = await readHost(ctx, { name });
  if (drainedAt === null) return { before, after: before };
  await updateHost(ctx, { id, values: { drainedAt: null } });
  await catchUpHost(ctx, { hostId: id });
  await notifyHosts(ctx, { hostIds: [id] });
  return { before, after: await readHost(ctx, { name }) };
}

/** Stops everything in the fleet: no occurrence, no trigger, no lease. */
export async function pauseFleet(
  ctx: Ctx,
  { reason, cancelRunning }: { reason: string; cancelRunning: boolean },
): Promise<Change<Settings>> {
  const before = await readSettings(ctx);
  await updateSettings(ctx, () => ({
    pausedAt: sql`coalesce(paused_at, ${ctx.now()})` as unknown as Date,
    pauseReason: reason,
  }));
  if (cancelRunning) await cancelEverything(ctx);
  // Their held polls end, and they drop their standing orders.
  await notifyHosts(ctx, { hostIds: await hostIds(ctx) });
  return { before, after: await readSettings(ctx) };
}

/** Lets the fleet go on; what was missed follows each project's misfire policy. */
export async function resumeFleet(ctx: Ctx): Promise<Change<Settings>> {
  const before = await readSettings(ctx);
  await updateSettings(ctx, () => ({ pausedAt: null, pauseReason: "" }));
  await notifyHosts(ctx, { hostIds: await hostIds(ctx) });
  return { before, after: await readSettings(ctx) };
}
