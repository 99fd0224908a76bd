import { isDeepStrictEqual } from "node:util";
import { and, eq, sql } from "drizzle-orm";
import type { z } from "zod";
import { AppError, parse } from "../../protocol/errors.ts";
import {
  type Project,
  type ProjectInput,
  projectCreateSchema,
  projectReplaceSchema,
} from "../../protocol/project.ts";
import { endTriggerTokens } from "../auth/operator-tokens.ts";
import type { Ctx } from "../context.ts";
import { lockProject, type ProjectRow, readProject } from "../db/queries/projects.ts";
import { projects } from "../db/schema/projects.ts";
import { replicas } from "../db/schema/replicas.ts";
import { tasks } from "../db/schema/tasks.ts";
import { cancelWaiting } from "../dispatch/cancel.ts";
import { triggerRun } from "../dispatch/start-run.ts";
import { derivedFreshTarget } from "../schedule/fresh-target.ts";
import { checkProject, firstHostOf, firstTime } from "./check-project.ts";
import { mergePatch } from "./merge-patch.ts";
import { chooseMaster, lockPlacement, placeReplicas } from "./placement.ts";
import { loginColumns } from "./project-login.ts";
import { checkPath } from "./project-path.ts";

type Definition = z.output<typeof projectReplaceSchema>;

/** What decides when a project is due. */
const scheduleKeys = ["schedule", "zone", "startsAt", "endsAt", "splaySeconds", "quiet"] as const;

async function columnsOf(
  ctx: Ctx,
  { input, stored }: { input: ProjectInput; stored: ProjectRow | null },
) {
  const { login: _login, master: _master, path = input.name, ...fields } = input;
  // A schedule that stays is not asked for its next time anew: what is due is not lost, what is over no error.
  const stays = stored && scheduleKeys.every((key) => isDeepStrictEqual(input[key], stored[key]));
  checkProject(input);
  const { freshWithinSeconds } = input;
  const derived = () =>
    stays && stored.freshWithinSeconds === null
      ? stored.freshTargetSeconds
      : derivedFreshTarget(input, { after: new Date() });
  return {
    ...fields,
    path,
    freshTargetSeconds: freshWithinSeconds ?? derived(),
    upstreamHost: firstHostOf(input),
    nextRunAt: stays ? stored.nextRunAt : firstTime(input),
    ...(await loginColumns(ctx, { input, stored })),
  };
}

/** Makes a project and its replicas. @throws AppError `conflict`, `invalid-input`. */
export async function createProject(
  ctx: Ctx,
  { input }: { input: ProjectInput },
): Promise<Project> {
  await lockPlacement(ctx);
  const [existing] = await ctx.db
    .select({ id: projects.id })
    .from(projects)
    .where(eq(projects.name, input.name));
  if (existing) throw new AppError("conflict", `there is a project "${input.name}" already`);
  const values = await columnsOf(ctx, { input, stored: null });
  await checkPath(ctx, values);
  const master = await chooseMaster(ctx, { name: input.master });
  const [project] = await ctx.db.insert(projects).values(values).returning();
  await placeReplicas(ctx, { project: project!, masterId: master.id });
  return readProject(ctx, input);
}

/** The part of a project that its administrator says, as a body of PUT has it. */
export function definitionOf(project: Project): Record<string, unknown> {
  const known = Object.keys(projectReplaceSchema.shape);
  const fields = Object.fromEntries(
    Object.entries(project).filter(([name]) => known.includes(name)),
  );
  const login = project.login && { user: project.login.user, host: project.login.host };
  return { ...fields, login };
}

function checkVersion(project: ProjectRow, { ifMatch }: { ifMatch: number | null }): void {
  if (ifMatch !== null && ifMatch !== project.version)
    throw new AppError(
      "precondition-failed",
      `the project has changed: it is at version ${project.version}, not ${ifMatch}; read it again`,
    );
}

async function checkNoneWorks(ctx: Ctx, { id }: ProjectRow): Promise<void> {
  const leased = await ctx.db
    .select({ id: tasks.id })
    .from(tasks)
    .where(and(eq(tasks.projectId, id), eq(tasks.state, "leased")));
  if (leased.length > 0)
    throw new AppError(
      "conflict",
      `${leased.length} tasks of the project are running: pause it, cancel its run, and try again`,
    );
}

/** After a change of path: no host has the tree there, and what waits was meant for the old place. */
async function startAnew(ctx: Ctx, { project }: { project: ProjectRow }): Promise<void> {
  await checkNoneWorks(ctx, project);
  const carried = await ctx.db
    .update(replicas)
    .set({ generation: 0, syncedAt: null, freshAt: null, scannedAt: null })
    .where(eq(replicas.projectId, project.id))
    .returning({ hostId: replicas.hostId });
  await cancelWaiting(ctx, {
    projectId: project.id,
    hostIds: carried.map(({ hostId }) => hostId),
    reason: "the project's path has changed",
  });
  const hostedHere = project.upstream === null && project.parts.length === 0;
  if (project.generation === 0 || project.pausedAt || hostedHere) return;
  await triggerRun(ctx, { project: project.name, trigger: "resync", approvedDeletions: null });
}

/**
 * Gives a project another definition. Where its path changes, the tree is pulled anew, and the old one
 * stays until somebody removes it. @throws AppError `not-found`, `precondition-failed`, `invalid-input`,
 * `conflict` where the path changes while a host works on it.
 */
export async function replaceProject(
  ctx: Ctx,
  { name, ifMatch, definition }: { name: string; ifMatch: number | null; definition: Definition },
): Promise<{ before: Project; after: Project }> {
  await lockPlacement(ctx);
  const stored = await lockProject(ctx.db, { name });
  checkVersion(stored, { ifMatch });
  const before = await readProject(ctx, { name });
  const values = await columnsOf(ctx, { input: { ...definition, name }, stored });
  await checkPath(ctx, values);
  const [project] = await ctx.db
    .update(projects)
    .set({
      ...values,
      nextRunAt: stored.pausedAt ? null : values.nextRunAt,
      version: sql`${projects.version} + 1`,
    })
    .where(eq(projects.id, stored.id))
    .returning();
  const { rsync, trace } = stored;
  // What a host did not delete or link before, or left in the tree as its own, no list will tell it to.
  if (
    rsync.delete !== values.rsync.delete ||
    rsync.hardLinks !== values.rsync.hardLinks ||
    (trace !== null && !isDeepStrictEqual(trace, values.trace))
  )
    await ctx.db.update(replicas).set({ scannedAt: null }).where(eq(replicas.projectId, stored.id));
  if (values.path !== stored.path) await startAnew(ctx, { project: project! });
  const [master] = await ctx.db
    .select({ hostId: replicas.hostId })
    .from(replicas)
    .where(and(eq(replicas.projectId, stored.id), eq(replicas.role, "master")));
  await placeReplicas(ctx, { project: project!, masterId: master!.hostId });
  return { before, after: await readProject(ctx, { name }) };
}

/** Changes some fields of a project. @throws AppError as `replaceProject`. */
export async function patchProject(
  ctx: Ctx,
  { name, ifMatch, patch }: { name: string; ifMatch: number | null; patch: unknown },
): Promise<{ before: Project; after: Project }> {
  await lockPlacement(ctx);
  const merged = mergePatch(definitionOf(await readProject(ctx, { name })), patch);
  const definition = parse(projectReplaceSchema, merged, "the project");
  return replaceProject(ctx, { name, ifMatch, definition });
}

/** Makes a project like another; a login is not copied. @throws AppError `not-found`, `conflict`, `invalid-input`. */
export async function cloneProject(
  ctx: Ctx,
  { name, changes }: { name: string; changes: { name: string } },
): Promise<Project> {
  const source = await readProject(ctx, { name });
  const master = source.replicas.find(({ role }) => role === "master")!.host;
  const { path: _path, login: _login, ...definition } = definitionOf(source);
  const input = parse(
    projectCreateSchema,
    mergePatch({ ...definition, master }, changes),
    "the clone",
  );
  return createProject(ctx, { input });
}

/**
 * Removes a project with its runs, and ends the tokens that trigger it alone; its files stay on the hosts.
 * @throws AppError `not-found`, `precondition-failed`, `conflict` while a host works on it.
 */
export async function removeProject(
  ctx: Ctx,
  { name, ifMatch }: { name: string; ifMatch: number | null },
): Promise<Project> {
  const stored = await lockProject(ctx.db, { name });
  checkVersion(stored, { ifMatch });
  const before = await readProject(ctx, { name });
  await checkNoneWorks(ctx, stored);
  await ctx.db.delete(projects).where(eq(projects.id, stored.id));
  await endTriggerTokens(ctx, { project: name });
  return before;
}
