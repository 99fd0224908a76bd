import { and, asc, eq, type SQL, sql } from "drizzle-orm";
import type { z } from "zod";
import { AppError } from "../../../protocol/errors.ts";
import type { Replica, replicasQuerySchema } from "../../../protocol/project.ts";
import type { Ctx } from "../../context.ts";
import { hosts } from "../schema/hosts.ts";
import { projects } from "../schema/projects.ts";
import { replicas } from "../schema/replicas.ts";
import { freshAt, isStale } from "./freshness.ts";
import { after, page } from "./page.ts";

const columns = (ctx: Pick<Ctx, "now">) => ({
  replica: replicas,
  project: projects,
  host: hosts.name,
  freshAt: freshAt(ctx),
  stale: isStale(ctx),
  master: sql<string>`(
    select h.name from replicas m join hosts h on h.id = m.host_id
    where m.project_id = ${projects.id} and m.role = 'master')`,
});
type Row = {
  replica: typeof replicas.$inferSelect;
  project: typeof projects.$inferSelect;
  host: string;
  freshAt: Date | null;
  stale: boolean;
  /** Name of the project's master. */
  master: string;
};

function sourceOf({ replica, project, master }: Row): string {
  if (replica.role === "ftp") return master;
  const { upstream, parts } = project;
  return upstream ?? (parts.map((part) => part.upstream).join(", ") || "hosted here");
}

function replicaView(row: Row): Replica {
  const { replica, project, host } = row;
  return {
    project: project.name,
    host,
    role: replica.role,
    root: replica.root,
    path: project.path,
    source: sourceOf(row),
    generation: replica.generation,
    behind: Math.max(0, project.generation - replica.generation),
    syncedAt: replica.syncedAt?.toISOString() ?? null,
    freshAt: row.freshAt?.toISOString() ?? null,
    stale: row.stale,
    scannedAt: replica.scannedAt?.toISOString() ?? null,
    paused: replica.pausedAt !== null,
  };
}

const select = (ctx: Pick<Ctx, "db" | "now">) =>
  ctx.db
    .select(columns(ctx))
    .from(replicas)
    .innerJoin(projects, eq(projects.id, replicas.projectId))
    .innerJoin(hosts, eq(hosts.id, replicas.hostId));

/** Replicas that a condition names, by project; the master's first. */
export async function readReplicas(
  ctx: Pick<Ctx, "db" | "now">,
  { where }: { where: SQL },
): Promise<Replica[]> {
  const rows = await select(ctx)
    .where(where)
    .orderBy(asc(projects.name), sql`${replicas.role} = 'ftp'`, asc(hosts.name));
  return rows.map(replicaView);
}

/** A page of replicas, by project and host. */
export async function readReplicaPage(
  ctx: Pick<Ctx, "db" | "now">,
  { project, host, limit, cursor }: z.output<typeof replicasQuerySchema>,
) {
  const rows = await select(ctx)
    .where(
      and(
        project === undefined ? undefined : eq(projects.name, project),
        host === undefined ? undefined : eq(hosts.name, host),
        after({ cursor, columns: [projects.name, hosts.name], descending: false }),
      ),
    )
    .orderBy(asc(projects.name), asc(hosts.name))
    .limit(limit + 1);
  return page({ rows, limit, key: (row) => [row.project.name, row.host], view: replicaView });
}

/** One replica and what it belongs to. @throws AppError `not-found`. */
export async function readReplica(
  ctx: Pick<Ctx, "db" | "now">,
  { project, host }: { project: string; host: string },
): Promise<{ view: Replica; row: Row }> {
  const [row] = await select(ctx).where(and(eq(projects.name, project), eq(hosts.name, host)));
  if (!row)
    throw new AppError("not-found", "there is no such project, or that host does not carry it");
  return { view: replicaView(row), row };
}
