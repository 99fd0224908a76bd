import { and, eq } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { runs } from "../db/schema/runs.ts";
import { tasks } from "../db/schema/tasks.ts";

/** Was the pull of an occurrence done by the master itself, while it was out of contact? */
export async function wasPulledByStandingOrder(
  { db }: Pick<Ctx, "db">,
  { projectId, scheduledFor }: { projectId: string; scheduledFor: Date },
): Promise<boolean> {
  const [found] = await db
    .select({ id: runs.id })
    .from(runs)
    .innerJoin(tasks, and(eq(tasks.runId, runs.id), eq(tasks.role, "master")))
    .where(
      and(
        eq(runs.projectId, projectId),
        eq(runs.scheduledFor, scheduledFor),
        eq(runs.trigger, "standing"),
      ),
    );
  return found !== undefined;
}
