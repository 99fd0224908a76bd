import { and, asc, isNotNull, lte, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import type { Transaction } from "../db/connect.ts";
import { projects } from "../db/schema.ts";
import { addScheduledRun } from "../dispatch/start-run.ts";
import { latestRun, nextRun } from "./next-run.ts";

/** Seconds after which an occurrence counts as missed. */
const misfireGraceSeconds = 60;

type ProjectRow = typeof projects.$inferSelect;

async function materialiseProject(
  ctx: Ctx,
  tx: Transaction,
  { project, now }: { project: ProjectRow; now: Date },
) {
  const schedule = { schedule: project.schedule!, zone: project.zone };
  const scheduledFor = latestRun(schedule, { from: project.nextRunAt!, until: now });
  const late = (now.getTime() - scheduledFor.getTime()) / 1000;
  const missed = project.misfire === "skip" && late > misfireGraceSeconds;
  await addScheduledRun(ctx, tx, { project, scheduledFor, missed });
  await tx
    .update(projects)
    .set({ nextRunAt: nextRun(schedule, { after: now }) })
    .where(sql`${projects.id} = ${project.id}`);
}

/**
 * Turns each due occurrence into a run, and moves its project's next time on, in one transaction each.
 * Any number of processes may do this at once. Returns the number of projects handled.
 */
export async function materialiseDue(ctx: Ctx): Promise<number> {
  for (let handled = 0; ; handled++) {
    const found = await ctx.db.transaction(async (tx) => {
      const [due] = await tx
        .select({ project: projects, now: sql<string>`${ctx.now()}` })
        .from(projects)
        .where(and(isNotNull(projects.schedule), lte(projects.nextRunAt, sql`${ctx.now()}`)))
        .orderBy(asc(projects.nextRunAt))
        .limit(1)
        .for("update", { skipLocked: true });
      if (!due) return false;
      await materialiseProject(ctx, tx, { project: due.project, now: new Date(due.now) });
      return true;
    });
    if (!found) return handled;
  }
}
