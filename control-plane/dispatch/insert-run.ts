import { and, eq, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Trigger } from "../../protocol/run.ts";
import type { Ctx } from "../context.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import { countRun } from "../db/queries/totals.ts";
import { fleet } from "../db/schema/fleet.ts";
import { replicas } from "../db/schema/replicas.ts";
import { runs } from "../db/schema/runs.ts";
import { tasks } from "../db/schema/tasks.ts";
import { distribute } from "./fan-out.ts";
import { notifyHosts } from "./wake.ts";

export type RunRow = typeof runs.$inferSelect;

/** Has it no upstream? Then its people upload to the master. */
export const isHostedHere = ({ upstream, parts }: ProjectRow) =>
  upstream === null && parts.length === 0;

/** Begins a run that is in state `running`: a task on the master, or at once the FTP hosts where it is hosted here. */
export async function beginRun(
  ctx: Ctx,
  { project, run }: { project: ProjectRow; run: RunRow },
): Promise<void> {
  if (isHostedHere(project))
    return distribute(ctx, {
      project,
      run,
      pulled: { changed: true, changeList: null, size: null, freshAt: "now" },
    });
  const [master] = await ctx.db
    .select({ hostId: replicas.hostId })
    .from(replicas)
    .where(and(eq(replicas.projectId, project.id), eq(replicas.role, "master")));
  await ctx.db.insert(tasks).values({
    runId: run.id,
    projectId: project.id,
    hostId: master!.hostId,
    role: "master",
    dryRun: run.trigger === "dry-run",
    state: "queued",
    maxAttempts: project.maxAttempts,
    notBefore: sql`${ctx.now()}`,
    queuedAt: sql`${ctx.now()}`,
  });
  await notifyHosts(ctx, { hostIds: [master!.hostId] });
}

type NewRun = {
  project: ProjectRow;
  trigger: Trigger;
  /** null: now. */
  scheduledFor: Date | null;
  approvedDeletions?: number | null;
  state: "running" | "queued" | "skipped";
  reason?: string;
};

/** Makes a run, and begins it where it is to run at once; undefined where another process made it. */
export async function insertRun(
  ctx: Ctx,
  { project, state, trigger, scheduledFor, approvedDeletions = null, reason }: NewRun,
) {
  const now = sql`${ctx.now()}`;
  const nowIf = (wanted: RunRow["state"]) => sql`case when ${state} = ${wanted} then ${now} end`;
  // A second process may have taken the same occurrence: then nothing is inserted.
  const [run] = await ctx.db
    .insert(runs)
    .values({
      projectId: project.id,
      trigger,
      scheduledFor: sql`coalesce(${scheduledFor?.toISOString() ?? null}::timestamptz, ${now})`,
      state,
      reason: reason ?? null,
      approvedDeletions,
      startedAt: nowIf("running"),
      finishedAt: nowIf("skipped"),
      createdAt: now,
    })
    .onConflictDoNothing()
    .returning()
    .prepare("insert run")
    .execute();
  if (run && state === "skipped") await countRun(ctx, run);
  if (run && state === "running") await beginRun(ctx, { project, run });
  return run;
}

/** The runs of a project, by its name, that pull and that wait to. */
export async function activeRuns({ db }: Ctx, { project }: { project: string }) {
  const rows = await db
    .select()
    .from(runs)
    .where(
      and(
        eq(runs.projectId, sql`(select id from projects where name = ${project})`),
        sql`${runs.state} in ('running', 'queued')`,
      ),
    )
    .prepare("active runs")
    .execute();
  return {
    running: rows.find(({ state }) => state === "running"),
    queued: rows.find(({ state }) => state === "queued"),
  };
}

/** @throws AppError `conflict` where the whole fleet is paused. */
export async function checkFleetNotPaused({ db }: Ctx): Promise<void> {
  const [settings] = await db
    .select({ pausedAt: fleet.pausedAt })
    .from(fleet)
    .prepare("fleet pause")
    .execute();
  if (settings?.pausedAt)
    throw new AppError("conflict", "the whole fleet is paused: resume it first");
}
