import { and, eq } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Ctx } from "../context.ts";
import { keepFreshness } from "../db/queries/freshness.ts";
import { lockProject } from "../db/queries/projects.ts";
import { readReplica } from "../db/queries/replicas.ts";
import { hosts } from "../db/schema/hosts.ts";
import { replicas } from "../db/schema/replicas.ts";
import { tasks } from "../db/schema/tasks.ts";
import { resyncReplica } from "../dispatch/resync.ts";

/**
 * Moves a replica to another mirror root of its host: it is pulled anew there, and from a master's old
 * root the FTP hosts go on pulling until that is done. The old tree stays until somebody removes it.
 * Answers the run; null where there is nothing to pull yet. @throws AppError `not-found`, `invalid-input`,
 * `conflict` while the host works on it.
 */
export async function moveReplica(
  ctx: Ctx,
  { project: name, host, root }: { project: string; host: string; root: string | null },
): Promise<string | null> {
  const project = await lockProject(ctx.db, { name });
  const { row } = await readReplica(ctx, { project: name, host });
  const { hostId, role } = row.replica;
  const [{ roots } = { roots: [] }] = await ctx.db
    .select({ roots: hosts.roots })
    .from(hosts)
    .where(eq(hosts.id, hostId));
  const known = roots.map(({ path }) => path);
  if (root !== null && !known.includes(root)) {
    const message = `"${root}" is not a mirror root of host ${host}; those are: ${known.join(", ") || "none, its agent has not polled yet"}`;
    throw new AppError("invalid-input", `root ${message}`, {
      fields: [{ field: "root", message }],
    });
  }
  const [leased] = await ctx.db
    .select({ id: tasks.id })
    .from(tasks)
    .where(
      and(eq(tasks.projectId, project.id), eq(tasks.hostId, hostId), eq(tasks.state, "leased")),
    );
  if (leased)
    throw new AppError("conflict", `host ${host} works on it: cancel that, or wait for its end`);
  await keepFreshness(ctx, { projectId: project.id, hostId }).execute();
  await ctx.db
    .update(replicas)
    .set({ root })
    .where(and(eq(replicas.projectId, project.id), eq(replicas.hostId, hostId)));
  if (project.generation === 0 || project.pausedAt) return null;
  return resyncReplica(ctx, { project: name, hostId, role });
}
