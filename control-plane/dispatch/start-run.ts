import { and, eq, notExists, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Trigger } from "../../protocol/run.ts";
import type { Ctx } from "../context.ts";
import { lockProject, type ProjectRow } from "../db/queries/projects.ts";
import { countRun } from "../db/queries/totals.ts";
import { fleet } from "../db/schema/fleet.ts";
import { hosts } from "../db/schema/hosts.ts";
import { replicas } from "../db/schema/replicas.ts";
import { runs } from "../db/schema/runs.ts";
import { tasks } from "../db/schema/tasks.ts";
import { distribute } from "./fan-out.ts";
import { wasPulledByStandingOrder } from "./standing-work.ts";
import { notifyHosts } from "./wake.ts";

type RunRow = typeof runs.$inferSelect;

const isHostedHere = ({ upstream, parts }: ProjectRow) => upstream === null && parts.length === 0;

/** Begins a run that is in state `running`: a task on the master, or at once the FTP hosts where it is hosted here. */
async function beginRun(
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

async function insertRun(
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

async function activeRuns({ db }: Ctx, { project }: { project: string }) {
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

/** What only looks must not cost an occurrence: that waits for its end. */
const isDryRun = ({ trigger }: RunRow) => trigger === "dry-run";

/** Adds the run of one occurrence; the caller holds the project's row. */
export async function addScheduledRun(
  ctx: Ctx,
  { project, scheduledFor, missed }: { project: ProjectRow; scheduledFor: Date; missed: boolean },
): Promise<void> {
  // The master may have pulled for it by itself, and said so before anybody saw that it was due.
  if (await wasPulledByStandingOrder(ctx, { projectId: project.id, scheduledFor })) return;
  const occurrence = { project, trigger: "schedule" as const, scheduledFor };
  const active = await activeRuns(ctx, { project: project.name });
  if (missed)
    await insertRun(ctx, {
      ...occurrence,
      state: "skipped",
      reason: "missed its time, and the project's misfire policy is skip",
    });
  else if (!active.running) await insertRun(ctx, { ...occurrence, state: "running" });
  else if (!active.queued && (project.overlap === "queue-one" || isDryRun(active.running)))
    await insertRun(ctx, { ...occurrence, state: "queued" });
  else
    await insertRun(ctx, {
      ...occurrence,
      state: "skipped",
      reason: "the project's run before was still pulling",
    });
}

/**
 * Accounts for the occurrences from `from` to before `until` that nobody was there for: one skipped run
 * stands for all of them. The caller holds the project's row.
 */
export async function addMissedRuns(
  ctx: Ctx,
  { project, from, until }: { project: ProjectRow; from: Date; until: Date },
): Promise<void> {
  await insertRun(ctx, {
    project,
    trigger: "schedule",
    scheduledFor: from,
    state: "skipped",
    reason: `missed, with all that were due before ${until.toISOString()}`,
  });
}

async function checkFleetNotPaused({ db }: Ctx): Promise<void> {
  const [settings] = await db
    .select({ pausedAt: fleet.pausedAt })
    .from(fleet)
    .prepare("fleet pause")
    .execute();
  if (settings?.pausedAt)
    throw new AppError("conflict", "the whole fleet is paused: resume it first");
}

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
 * Starts a run now or, during a pull, lets one run wait behind it: a trigger is never lost.
 * @throws AppError `not-found`, `conflict` where the project or the fleet is paused.
 */
export async function triggerRun(
  ctx: Ctx,
  {
    project: name,
    trigger,
    approvedDeletions,
  }: { project: string; trigger: Trigger; approvedDeletions: number | null },
): Promise<RunRow> {
  const { project, running, queued } = await lockForRun(ctx, { project: name });
  if (project.pausedAt)
    throw new AppError("conflict", `project ${project.name} is paused: resume it first`);
  if (queued) {
    const [widened] = await ctx.db
      .update(runs)
      .set({
        approvedDeletions: sql`greatest(${runs.approvedDeletions}, ${approvedDeletions}::int)`,
      })
      .where(eq(runs.id, queued.id))
      .returning();
    return widened!;
  }
  const run = await insertRun(ctx, {
    project,
    trigger,
    scheduledFor: null,
    approvedDeletions,
    state: running ? "queued" : "running",
  });
  return run!;
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

/** @throws AppError `conflict` where the master's agent has said that it keeps nothing of what it deletes. */
async function checkKeepsDeleted(ctx: Ctx, { id, name }: ProjectRow): Promise<void> {
  const [master] = await ctx.db
    .select({ host: hosts.name, facts: hosts.facts })
    .from(replicas)
    .innerJoin(hosts, eq(hosts.id, replicas.hostId))
    .where(and(eq(replicas.projectId, id), eq(replicas.role, "master")));
  if (master?.facts?.quarantineDays === 0)
    throw new AppError(
      "conflict",
      `nothing of ${name} can be brought back: ${master.host} keeps no deleted files, because MIRRORFLEET_QUARANTINES is not set there`,
    );
}

/**
 * Starts a run that brings back what the last deletions on the master took. The caller holds the
 * project's row. @throws AppError `conflict` where it is hosted here, pulls, or the fleet is paused, or
 * where the master keeps nothing of what it deletes.
 */
export async function startUndo(ctx: Ctx, { project }: { project: ProjectRow }): Promise<RunRow> {
  if (isHostedHere(project))
    throw new AppError(
      "conflict",
      `project ${project.name} is hosted here: what its people delete on the master is theirs to bring back`,
    );
  await checkFleetNotPaused(ctx);
  await checkKeepsDeleted(ctx, project);
  const { running } = await activeRuns(ctx, { project: project.name });
  if (running)
    throw new AppError("conflict", `run ${running.id} of the project pulls: cancel it first`);
  const run = await insertRun(ctx, {
    project,
    trigger: "undo",
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
