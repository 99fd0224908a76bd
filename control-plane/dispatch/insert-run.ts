import { randomUUID } from "node:crypto";
import { and, eq, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Trigger } from "../../protocol/run.ts";
import type { Ctx } from "../context.ts";
import { type Blanks, compiled, prepared } from "../db/compiled.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import { countRun } from "../db/queries/totals.ts";
import { fleet } from "../db/schema/fleet.ts";
import { runs } from "../db/schema/runs.ts";
import { distribute } from "./fan-out.ts";
import { channel } from "./wake.ts";

export type RunRow = typeof runs.$inferSelect;

/** Has it no upstream? Then its people upload to the master. */
export const isHostedHere = ({ upstream, parts }: ProjectRow) =>
  upstream === null && parts.length === 0;

/** Makes a run's task on the master, and wakes that. */
const addPull = compiled<
  { runId: string; projectId: string; dryRun: boolean; maxAttempts: number },
  unknown
>(
  ({ now }, { runId, projectId, dryRun, maxAttempts }) => sql`/* add a pull */
    with added as (
      insert into tasks (run_id, project_id, host_id, role, dry_run, state, max_attempts, not_before, queued_at)
      values (${runId}, ${projectId}, (select host_id from replicas where project_id = ${projectId} and role = 'master'),
        'master', ${dryRun}, 'queued', ${maxAttempts}, ${now()}, ${now()})
      returning host_id)
    select pg_notify(${channel}, host_id::text) from added`,
);

/** Begins a run that is in state `running`: a task on the master, or at once the FTP hosts where it is hosted here. */
export async function beginRun(
  ctx: Ctx,
  { project, run }: { project: ProjectRow; run: Pick<RunRow, "id" | "trigger"> },
): Promise<void> {
  if (isHostedHere(project))
    return distribute(ctx, {
      project,
      run,
      pulled: { changed: true, changeList: null, size: null, freshAt: "now" },
    });
  await addPull(ctx, {
    runId: run.id,
    projectId: project.id,
    dryRun: run.trigger === "dry-run",
    maxAttempts: project.maxAttempts,
  }).execute();
}

type NewRun = {
  /** Left out: made here. */
  id?: string;
  project: ProjectRow;
  trigger: Trigger;
  /** null: now. */
  scheduledFor: Date | null;
  approvedDeletions?: number | null;
  state: "running" | "queued" | "skipped";
  reason?: string | null;
};

const addRun = prepared(
  (
    { db, now },
    run: Blanks<{
      id: string;
      projectId: string;
      trigger: Trigger;
      scheduledFor: string | null;
      state: RunRow["state"];
      reason: string | null;
      approvedDeletions: number | null;
    }>,
  ) => {
    const nowIf = (state: RunRow["state"]) =>
      sql`case when ${run.state} = ${state} then ${now()} end`;
    return db
      .insert(runs)
      .values({
        id: run.id,
        projectId: run.projectId,
        trigger: run.trigger,
        scheduledFor: sql`coalesce(${run.scheduledFor}::timestamptz, ${now()})`,
        state: run.state,
        reason: run.reason,
        approvedDeletions: run.approvedDeletions,
        startedAt: nowIf("running"),
        finishedAt: nowIf("skipped"),
        createdAt: sql`${now()}`,
      })
      .onConflictDoNothing()
      .returning()
      .prepare("insert run");
  },
);

/**
 * Makes a run, and begins it where it is to run at once; undefined where another process made it. All is sent before
 * this waits for anything, except for an occurrence's run, and where another that distributes is left without hosts.
 */
export async function insertRun(
  ctx: Ctx,
  {
    id = randomUUID(),
    project,
    state,
    trigger,
    scheduledFor,
    approvedDeletions = null,
    reason = null,
  }: NewRun,
) {
  const at = scheduledFor?.toISOString() ?? null;
  const run = { id, projectId: project.id, trigger, scheduledFor: at, state };
  const adding = addRun(ctx, { ...run, reason, approvedDeletions }).execute();
  if (state === "running" && trigger !== "schedule") {
    const [[added]] = await Promise.all([adding, beginRun(ctx, { project, run })]);
    return added;
  }
  // A second process may have taken the same occurrence: then nothing is inserted.
  const [added] = await adding;
  if (added && state === "skipped") await countRun(ctx, added);
  if (added && state === "running") await beginRun(ctx, { project, run: added });
  return added;
}

const runsUnderWay = prepared(({ db }, { project }: Blanks<{ project: string }>) =>
  db
    .select()
    .from(runs)
    .where(
      and(
        eq(runs.projectId, sql`(select id from projects where name = ${project})`),
        sql`${runs.state} in ('queued', 'running', 'distributing')`,
      ),
    )
    .prepare("active runs"),
);

/** The runs of a project, by its name, that pull and that wait to; and whether one distributes. */
export async function activeRuns({ db }: Ctx, { project }: { project: string }) {
  const rows = await runsUnderWay({ db }, { project }).execute();
  return {
    running: rows.find(({ state }) => state === "running"),
    queued: rows.find(({ state }) => state === "queued"),
    distributing: rows.some(({ state }) => state === "distributing"),
  };
}

const fleetPause = prepared(({ db }) =>
  db.select({ pausedAt: fleet.pausedAt }).from(fleet).prepare("fleet pause"),
);

/** @throws AppError `conflict` where the whole fleet is paused. */
export async function checkFleetNotPaused({ db }: Ctx): Promise<void> {
  const [settings] = await fleetPause({ db }, {}).execute();
  if (settings?.pausedAt)
    throw new AppError("conflict", "the whole fleet is paused: resume it first");
}
