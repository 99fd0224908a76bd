import { and, asc, eq, exists, inArray, isNotNull, isNull, sql } from "drizzle-orm";
import type { z } from "zod";
import { AppError } from "../../../protocol/errors.ts";
import type { Project, projectsQuerySchema } from "../../../protocol/project.ts";
import type { Ctx } from "../../context.ts";
import { type Blanks, prepared } from "../compiled.ts";
import type { Database } from "../connect.ts";
import { hosts } from "../schema/hosts.ts";
import { projects } from "../schema/projects.ts";
import { replicas } from "../schema/replicas.ts";
import { after, page } from "./page.ts";
import { readReplicas } from "./replicas.ts";

export type ProjectRow = typeof projects.$inferSelect;

const notFound = () => new AppError("not-found", "there is no such project");

const lockByName = prepared(({ db }, { name }: Blanks<{ name: string }>) =>
  db
    .select()
    .from(projects)
    .where(eq(projects.name, name))
    .for("update")
    .prepare("lock project by name"),
);
const lockById = prepared(({ db }, { id }: Blanks<{ id: string }>) =>
  db.select().from(projects).where(eq(projects.id, id)).for("update").prepare("lock project by id"),
);

/** Locks a project's row: whoever changes it, or starts, queues or ends one of its runs, holds it. @throws AppError `not-found`. */
export async function lockProject(
  db: Database,
  by: { name: string } | { id: string },
): Promise<ProjectRow> {
  const lock = "name" in by ? lockByName({ db }, by) : lockById({ db }, by);
  const [project] = await lock.execute();
  if (!project) throw notFound();
  return project;
}

/** What operators see of a project: everything but the upstream's password. */
function projectView(row: ProjectRow, carried: Project["replicas"]): Project {
  const { loginUser, loginHost, loginPassword, pausedAt, nextRunAt, createdAt, ...rest } = row;
  const { unpublished: _, upstreamHost: _host, freshAt: _fresh, ...fields } = rest;
  return {
    ...fields,
    login:
      loginUser === null
        ? null
        : { user: loginUser, host: loginHost!, passwordSet: loginPassword !== null },
    paused: pausedAt !== null,
    nextRunAt: nextRunAt?.toISOString() ?? null,
    createdAt: createdAt.toISOString(),
    replicas: carried,
  };
}

async function views(ctx: Pick<Ctx, "db" | "now">, rows: ProjectRow[]): Promise<Project[]> {
  if (rows.length === 0) return [];
  const carried = await readReplicas(ctx, {
    where: inArray(
      projects.id,
      rows.map(({ id }) => id),
    ),
  });
  const byProject = Map.groupBy(carried, ({ project }) => project);
  return rows.map((row) => projectView(row, byProject.get(row.name) ?? []));
}

/** Reads one project. @throws AppError `not-found`. */
export async function readProject(
  ctx: Pick<Ctx, "db" | "now">,
  { name }: { name: string },
): Promise<Project> {
  const [project] = await views(
    ctx,
    await ctx.db.select().from(projects).where(eq(projects.name, name)),
  );
  if (!project) throw notFound();
  return project;
}

/** A page of projects, by name. */
export async function readProjects(
  ctx: Pick<Ctx, "db" | "now">,
  { search, host, paused, limit, cursor }: z.output<typeof projectsQuerySchema>,
) {
  const carriedBy = ctx.db
    .select({ one: sql`1` })
    .from(replicas)
    .innerJoin(hosts, eq(hosts.id, replicas.hostId))
    .where(and(eq(replicas.projectId, projects.id), eq(hosts.name, host ?? "")));
  const rows = await ctx.db
    .select()
    .from(projects)
    .where(
      and(
        search === undefined ? undefined : sql`position(${search} in ${projects.name}) > 0`,
        host === undefined ? undefined : exists(carriedBy),
        paused === undefined
          ? undefined
          : paused
            ? isNotNull(projects.pausedAt)
            : isNull(projects.pausedAt),
        after({ cursor, columns: [projects.name], descending: false }),
      ),
    )
    .orderBy(asc(projects.name))
    .limit(limit + 1);
  const { items, nextCursor } = page({
    rows,
    limit,
    key: ({ name }) => [name],
    view: (row) => row,
  });
  return { items: await views(ctx, items), nextCursor };
}

/** All projects by name, for a plan that concerns the whole fleet. */
export async function readAllProjects(ctx: Pick<Ctx, "db" | "now">): Promise<Project[]> {
  return views(ctx, await ctx.db.select().from(projects).orderBy(asc(projects.name)));
}
