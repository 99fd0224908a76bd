import { and, eq, isNotNull } from "drizzle-orm";
import type { Ctx } from "../../context.ts";
import { projects } from "../schema/projects.ts";
import { replicas } from "../schema/replicas.ts";

/** Names of a host's projects that are paused as a whole, not on that host alone. */
export async function pausedProjectsOn(
  { db }: Pick<Ctx, "db">,
  { hostId }: { hostId: string },
): Promise<Set<string>> {
  const rows = await db
    .select({ name: projects.name })
    .from(projects)
    .innerJoin(replicas, eq(replicas.projectId, projects.id))
    .where(and(eq(replicas.hostId, hostId), isNotNull(projects.pausedAt)));
  return new Set(rows.map(({ name }) => name));
}
