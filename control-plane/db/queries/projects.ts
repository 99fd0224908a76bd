import { arrayContains, asc, eq, inArray, sql } from "drizzle-orm";
import type { z } from "zod";
import { AppError } from "../../../protocol/errors.ts";
import type { Project, projectCreateSchema } from "../../../protocol/project.ts";
import type { Database, Transaction } from "../connect.ts";
import { hosts, projects, replicas } from "../schema.ts";

type NewProject = z.output<typeof projectCreateSchema> & { nextRunAt: Date | null };
type ProjectRow = typeof projects.$inferSelect;

const invalid = (field: string, message: string) =>
  new AppError("invalid-input", `${field} ${message}`, { fields: [{ field, message }] });

async function chooseMaster(tx: Transaction, { name }: { name: string | undefined }) {
  const masters = await tx
    .select()
    .from(hosts)
    .where(arrayContains(hosts.roles, ["master"]))
    .orderBy(asc(hosts.name));
  const chosen = name === undefined ? masters : masters.filter((host) => host.name === name);
  if (chosen.length === 1) return chosen[0]!;
  const known = masters.map((host) => host.name).join(", ") || "none";
  throw invalid(
    "master",
    name === undefined && masters.length > 1
      ? `must be named: the fleet has several (${known})`
      : `${name === undefined ? "is missing" : `"${name}" is not a host with role master`}; masters are: ${known}`,
  );
}

async function chooseFtpHosts(
  tx: Transaction,
  { names, masterId }: { names: string[] | undefined; masterId: string },
) {
  const all = await tx
    .select()
    .from(hosts)
    .where(arrayContains(hosts.roles, ["ftp"]))
    .orderBy(asc(hosts.name));
  const candidates = all.filter(({ id }) => id !== masterId);
  if (names === undefined) return candidates;
  return [...new Set(names)].map((name) => {
    const host = candidates.find((candidate) => candidate.name === name);
    if (!host)
      throw invalid(
        "hosts",
        `"${name}" is not another host with role ftp; those are: ${candidates.map((each) => each.name).join(", ") || "none"}`,
      );
    return host;
  });
}

/** Refuses a path that lies within another project's: one's deletions would be the other's loss. */
async function checkPath(tx: Transaction, { path }: { path: string }) {
  const [overlapping] = await tx
    .select({ name: projects.name, path: projects.path })
    .from(projects)
    .where(
      sql`starts_with(${projects.path} || '/', ${`${path}/`}) or starts_with(${`${path}/`}, ${projects.path} || '/')`,
    )
    .limit(1);
  if (overlapping)
    throw invalid(
      "path",
      `"${path}" overlaps with "${overlapping.path}" of project ${overlapping.name}: choose another`,
    );
}

/** Makes a project and its replicas, all or nothing. @throws AppError `conflict`, `invalid-input`. */
export async function createProject({ db }: { db: Database }, input: NewProject): Promise<Project> {
  await db.transaction(async (tx) => {
    // Two projects created at once must not both find their path free.
    await tx.execute(sql`lock table ${projects} in share row exclusive mode`);
    const { master: masterName, hosts: hostNames, path = input.name, ...values } = input;
    const [existing] = await tx
      .select({ id: projects.id })
      .from(projects)
      .where(eq(projects.name, input.name));
    if (existing) throw new AppError("conflict", `there is a project "${input.name}" already`);
    await checkPath(tx, { path });
    const master = await chooseMaster(tx, { name: masterName });
    const ftpHosts = await chooseFtpHosts(tx, { names: hostNames, masterId: master.id });
    const [project] = await tx
      .insert(projects)
      .values({ ...values, path })
      .returning({ id: projects.id });
    await tx
      .insert(replicas)
      .values([
        { projectId: project!.id, hostId: master.id, role: "master" as const },
        ...ftpHosts.map(({ id }) => ({ projectId: project!.id, hostId: id, role: "ftp" as const })),
      ]);
  });
  return readProject({ db }, { name: input.name });
}

async function views({ db }: { db: Database }, rows: ProjectRow[]): Promise<Project[]> {
  if (rows.length === 0) return [];
  const carried = await db
    .select({ replica: replicas, host: hosts.name })
    .from(replicas)
    .innerJoin(hosts, eq(hosts.id, replicas.hostId))
    .where(
      inArray(
        replicas.projectId,
        rows.map(({ id }) => id),
      ),
    )
    .orderBy(sql`${replicas.role} = 'ftp'`, asc(hosts.name));
  return rows.map((row) => ({
    ...row,
    nextRunAt: row.nextRunAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
    replicas: carried
      .filter(({ replica }) => replica.projectId === row.id)
      .map(({ replica, host }) => ({
        host,
        role: replica.role,
        generation: replica.generation,
        syncedAt: replica.syncedAt?.toISOString() ?? null,
      })),
  }));
}

/** Reads one project. @throws AppError `not-found`. */
export async function readProject(
  { db }: { db: Database },
  { name }: { name: string },
): Promise<Project> {
  const [project] = await views(
    { db },
    await db.select().from(projects).where(eq(projects.name, name)),
  );
  if (!project) throw new AppError("not-found", "there is no such project");
  return project;
}

/** All projects by name. */
export async function readProjects({ db }: { db: Database }): Promise<Project[]> {
  return views({ db }, await db.select().from(projects).orderBy(asc(projects.name)));
}
