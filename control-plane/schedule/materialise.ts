import { and, asc, isNotNull, isNull, lte, not, notExists, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import { fleet } from "../db/schema/fleet.ts";
import { projects } from "../db/schema/projects.ts";
import { addMissedRuns, addScheduledRun } from "../dispatch/scheduled-runs.ts";
import { latestRun, nextRun } from "./next-run.ts";

/** Seconds after which an occurrence counts as missed. */
const misfireGraceSeconds = 60;

type Due = { project: ProjectRow; now: Date };

const scheduleOf = (project: ProjectRow) => ({ ...project, schedule: project.schedule! });

/** The occurrence that is taken, and after which time the next one is looked for. */
function occurrenceOf({ project, now }: Due): { scheduledFor: Date | null; after: Date } {
  const schedule = scheduleOf(project);
  const from = project.nextRunAt!;
  if (project.misfire !== "all")
    return { scheduledFor: latestRun(schedule, { from, until: now }), after: now };
  const oldest = new Date(now.getTime() - project.misfireWindowSeconds * 1000);
  const first = from >= oldest ? from : nextRun(schedule, { after: oldest });
  return first && first <= now
    ? { scheduledFor: first, after: first }
    : { scheduledFor: null, after: now };
}

async function materialiseProject(ctx: Ctx, { project, now }: Due) {
  const { scheduledFor, after } = occurrenceOf({ project, now });
  const from = project.nextRunAt!;
  const until = scheduledFor ?? now;
  if (from < until) await addMissedRuns(ctx, { project, from, until });
  if (scheduledFor) {
    const late = (now.getTime() - scheduledFor.getTime()) / 1000;
    const missed = project.misfire === "skip" && late > misfireGraceSeconds;
    await addScheduledRun(ctx, { project, scheduledFor, missed });
  }
  await ctx.db
    .update(projects)
    .set({ nextRunAt: nextRun(scheduleOf(project), { after }) })
    .where(sql`${projects.id} = ${project.id}`);
}

/** With misfire `all`, what was missed waits for the run before: it is no overlap that may be left out. */
const waitsItsTurn = (ctx: Ctx) => sql`(
  ${projects.misfire} = 'all'
  and ${projects.nextRunAt} < ${ctx.now()} - ${misfireGraceSeconds} * interval '1 second'
  and exists (
    select from runs r where r.project_id = ${projects.id} and r.state in ('running', 'queued')))`;

/**
 * Turns each due occurrence into a run, and moves its project's next time on, in one transaction each.
 * Any number of processes may do this at once. While the fleet is paused nothing is due; afterwards the
 * projects' misfire policies say what becomes of what was missed. Returns the number of projects handled.
 */
export async function materialiseDue(ctx: Ctx): Promise<number> {
  const pause = ctx.db
    .select({ one: sql`1` })
    .from(fleet)
    .where(isNotNull(fleet.pausedAt));
  for (let handled = 0; ; handled++) {
    const found = await ctx.db.transaction(async (tx) => {
      const [due] = await tx
        .select({ project: projects, now: sql<string>`${ctx.now()}` })
        .from(projects)
        .where(
          and(
            isNotNull(projects.schedule),
            isNull(projects.pausedAt),
            lte(projects.nextRunAt, sql`${ctx.now()}`),
            notExists(pause),
            not(waitsItsTurn(ctx)),
          ),
        )
        .orderBy(asc(projects.nextRunAt))
        .limit(1)
        .for("update", { skipLocked: true });
      if (!due) return false;
      await materialiseProject(
        { ...ctx, db: tx },
        { project: due.project, now: new Date(due.now) },
      );
      return true;
    });
    if (!found) return handled;
  }
}
