import { and, arrayContains, asc, eq, inArray, notInArray, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Ctx } from "../context.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import { hosts } from "../db/schema/hosts.ts";
import { projects } from "../db/schema/projects.ts";
import { replicas } from "../db/schema/replicas.ts";
import { cancelWaiting } from "../dispatch/cancel.ts";
import { catchUp } from "../dispatch/resync.ts";

type HostRow = typeof hosts.$inferSelect;

const invalid = (field: string, message: string) =>
  new AppError("invalid-input", `${field} ${message}`, { fields: [{ field, message }] });

const withRole = ({ db }: Pick<Ctx, "db">, role: "master" | "ftp") =>
  db
    .select()
    .from(hosts)
    .where(arrayContains(hosts.roles, [role]))
    .orderBy(asc(hosts.name));

const listed = (rows: HostRow[]) => rows.map(({ name }) => name).join(", ") || "none";

/**
 * Lets one at a time decide where projects lie: two new projects must not both find their path free, nor
 * a new project and a new host miss each other. Comes before the lock of any project's row.
 */
export async function lockPlacement({ db }: Pick<Ctx, "db">): Promise<void> {
  await db.execute(sql`select pg_advisory_xact_lock(hashtext('mirrorfleet placement'))`);
}

/** The host that pulls from the upstream: the one that is named, else the only master. @throws AppError `invalid-input`. */
export async function chooseMaster(
  ctx: Pick<Ctx, "db">,
  { name }: { name: string | undefined },
): Promise<HostRow> {
  const masters = await withRole(ctx, "master");
  const chosen = name === undefined ? masters : masters.filter((host) => host.name === name);
  if (chosen.length === 1) return chosen[0]!;
  throw invalid(
    "master",
    name === undefined && masters.length > 1
      ? `must be named: the fleet has several (${listed(masters)})`
      : `${name === undefined ? "is missing" : `"${name}" is not a host with role master`}; masters are: ${listed(masters)}`,
  );
}

const hasLabels = (host: HostRow, labels: Record<string, string>) =>
  Object.entries(labels).every(([key, value]) => host.labels[key] === value);

/** The FTP hosts that a project's `hosts` or `labels` name. @throws AppError `invalid-input` for one that is none. */
async function chooseFtpHosts(
  ctx: Pick<Ctx, "db">,
  { project, masterId }: { project: Pick<ProjectRow, "hosts" | "labels">; masterId: string },
): Promise<HostRow[]> {
  const candidates = (await withRole(ctx, "ftp")).filter(({ id }) => id !== masterId);
  const { hosts: names, labels } = project;
  if (names === null) return candidates.filter((host) => hasLabels(host, labels ?? {}));
  return [...new Set(names)].map((name) => {
    const host = candidates.find((candidate) => candidate.name === name);
    if (!host)
      throw invalid(
        "hosts",
        `"${name}" is not another host with role ftp; those are: ${listed(candidates)}`,
      );
    return host;
  });
}

/**
 * Makes a project's replicas what its `hosts` and `labels` say. A host that no longer carries it keeps
 * its files; a new one catches up. The caller holds the project's row.
 */
export async function placeReplicas(
  ctx: Ctx,
  { project, masterId }: { project: ProjectRow; masterId: string },
): Promise<void> {
  const wanted = await chooseFtpHosts(ctx, { project, masterId });
  const ids = [masterId, ...wanted.map(({ id }) => id)];
  const dropped = await ctx.db
    .delete(replicas)
    .where(and(eq(replicas.projectId, project.id), notInArray(replicas.hostId, ids)))
    .returning({ hostId: replicas.hostId });
  await cancelWaiting(ctx, {
    projectId: project.id,
    hostIds: dropped.map(({ hostId }) => hostId),
    reason: "the host no longer carries the project",
  });
  await ctx.db
    .insert(replicas)
    .values([
      { projectId: project.id, hostId: masterId, role: "master" as const },
      ...wanted.map(({ id }) => ({ projectId: project.id, hostId: id, role: "ftp" as const })),
    ])
    .onConflictDoNothing();
  await catchUp(ctx, { project });
}

/** Places the projects anew that choose their hosts themselves: a host came, or has other labels. */
export async function placeAll(ctx: Ctx): Promise<void> {
  await lockPlacement(ctx);
  const rows = await ctx.db
    .select({ project: projects, masterId: replicas.hostId })
    .from(projects)
    .innerJoin(replicas, and(eq(replicas.projectId, projects.id), eq(replicas.role, "master")))
    .orderBy(asc(projects.name))
    .for("update", { of: projects });
  for (const row of rows) if (row.project.hosts === null) await placeReplicas(ctx, row);
}

/** Lets the replicas of a host that has (again) an agent catch up. */
export async function catchUpHost(ctx: Ctx, { hostId }: { hostId: string }): Promise<void> {
  const carried = ctx.db
    .select({ id: replicas.projectId })
    .from(replicas)
    .where(eq(replicas.hostId, hostId));
  const rows = await ctx.db
    .select()
    .from(projects)
    .where(inArray(projects.id, carried))
    .orderBy(asc(projects.name))
    .for("update");
  for (const project of rows) await catchUp(ctx, { project });
}
