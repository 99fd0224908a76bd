import { and, eq, isNotNull, isNull } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { projects } from "../db/schema/projects.ts";
import { derivedFreshTarget } from "../schedule/fresh-target.ts";

/** Seconds that a project's row has which was made before there were targets. */
const unsetSeconds = 86_400;

/** Derives the freshness targets of projects that were made before there were any. Doing it again changes nothing. */
export async function deriveFreshTargets(ctx: Pick<Ctx, "db">): Promise<void> {
  const unset = and(
    isNull(projects.freshWithinSeconds),
    isNotNull(projects.schedule),
    eq(projects.freshTargetSeconds, unsetSeconds),
  );
  for (const project of await ctx.db.select().from(projects).where(unset)) {
    const freshTargetSeconds = derivedFreshTarget(project, { after: new Date() });
    if (freshTargetSeconds === unsetSeconds) continue;
    await ctx.db
      .update(projects)
      .set({ freshTargetSeconds })
      .where(and(eq(projects.id, project.id), unset));
  }
}
