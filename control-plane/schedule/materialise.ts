import { and, asc, isNotNull, isNull, lte, notExists, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import { fleet, projects } from "../db/schema.ts";
import { addMissedRuns, addScheduledRun } from "../dispatch/start-run.ts";
import { latestRun, nextRun } from "./next-run.ts";

/** Seconds after which an occurrence counts as missed. */
const misfireGraceSeconds = 60;

async function materialiseProject(ctx: Ctx, { project, now }: { project: ProjectRow; now: Date }) {
  const schedule = { ...project, schedule: project.schedule! };
  const scheduledFor = latestRun(schedule, { from: project.nextRunAt!, until: now });
  if (project.nextRunAt! < scheduledFor)
    await addMissedRuns(ctx, { project, from: project.nextRunAt!, until: scheduledFor });
  const late = (now.getTime() - scheduledFor.getTime()) / 1000;
  const missed = project.misfire === "skip" && late > misfireGraceSeconds;
  await addScheduledRun(ctx, { project, scheduledFor, missed });
  await ctx.db
    .update(projects)
    .set({ nextRunAt: nextRun(schedule, { after: now }) })
    .where(sql`${projects.id} = ${project.id}`);
}

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
