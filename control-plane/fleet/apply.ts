import { isDeepStrictEqual } from "node:util";
import type { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import type { FleetPlan, fleetFileSchema, PlannedChange } from "../../protocol/fleet-file.ts";
import { type Project, type ProjectInput, projectReplaceSchema } from "../../protocol/project.ts";
import type { Ctx } from "../context.ts";
import { readAllProjects } from "../db/queries/projects.ts";
import { lockPlacement } from "./placement.ts";
import { readPassword } from "./project-login.ts";
import { createProject, definitionOf, removeProject, replaceProject } from "./projects.ts";

type ProjectChange = { name: string; before: Project | null; after: Project | null };

/** A master stays what it was at the project's creation: a file that names another must not seem to be followed. */
function checkMaster({ input, stored }: { input: ProjectInput; stored: Project }, index: number) {
  const master = stored.replicas.find(({ role }) => role === "master")?.host;
  if (input.master === undefined || input.master === master) return;
  const message = `cannot be changed: the master of project ${stored.name} is ${master}`;
  throw new AppError("invalid-input", `master ${message}`, {
    fields: [{ field: `projects.${index}.master`, message }],
  });
}

/** A definition as it would be read back: defaults filled in, without what cannot be read. */
function asRead(input: ProjectInput, stored: Project): Record<string, unknown> {
  const { name, master: _master, ...fields } = input;
  const login = fields.login && {
    user: fields.login.user,
    host: fields.login.host ?? stored.login?.host,
  };
  return { ...fields, path: fields.path ?? name, login };
}

/** The fields in which a definition differs; of a password only that it does. */
async function changesOf(ctx: Ctx, { input, stored }: { input: ProjectInput; stored: Project }) {
  const wanted = asRead(input, stored);
  const current = definitionOf(stored);
  const changes = Object.keys(projectReplaceSchema.shape)
    .filter((field) => !isDeepStrictEqual(current[field], wanted[field]))
    .map((field) => ({ field, from: current[field] ?? null, to: wanted[field] ?? null }));
  const password = input.login?.password;
  if (password !== undefined && (await readPassword(ctx, stored)) !== password)
    changes.push({ field: "login.password", from: "(stored)", to: "(given)" });
  return changes;
}

async function planOf(
  ctx: Ctx,
  {
    file,
    stored,
    prune,
  }: { file: z.output<typeof fleetFileSchema>; stored: Project[]; prune: boolean },
): Promise<PlannedChange[]> {
  const byName = new Map(stored.map((project) => [project.name, project]));
  const wanted: PlannedChange[] = [];
  for (const [index, input] of file.projects.entries()) {
    const project = byName.get(input.name);
    if (project) checkMaster({ input, stored: project }, index);
    const changes = project ? await changesOf(ctx, { input, stored: project }) : [];
    const action = !project ? "create" : changes.length > 0 ? "update" : "keep";
    wanted.push({ action, project: input.name, changes });
  }
  const named = new Set(file.projects.map(({ name }) => name));
  const removed = stored
    .filter(({ name }) => prune && !named.has(name))
    .map(({ name }): PlannedChange => ({ action: "remove", project: name, changes: [] }));
  // What goes makes room first: a path may pass from one project to another.
  return [...removed, ...wanted];
}

async function carryOut(
  ctx: Ctx,
  { plan, file }: { plan: PlannedChange[]; file: z.output<typeof fleetFileSchema> },
): Promise<ProjectChange[]> {
  const done: ProjectChange[] = [];
  const byName = new Map(file.projects.map((input, index) => [input.name, { input, index }]));
  for (const { action, project: name } of plan) {
    if (action === "keep") continue;
    if (action === "remove") {
      const before = await removeProject(ctx, { name, ifMatch: null });
      done.push({ name, before, after: null });
      continue;
    }
    const { input, index } = byName.get(name)!;
    try {
      if (action === "create")
        done.push({ name, before: null, after: await createProject(ctx, { input }) });
      else {
        const { name: _name, master: _master, ...definition } = input;
        done.push({ name, ...(await replaceProject(ctx, { name, ifMatch: null, definition })) });
      }
    } catch (cause) {
      if (!(cause instanceof AppError)) throw cause;
      const fields = cause.fields.map(({ field, message }) => ({
        field: `projects.${index}.${field}`,
        message,
      }));
      throw new AppError(cause.code, `project ${name}: ${cause.message}`, { cause, fields });
    }
  }
  return done;
}

/**
 * Makes the fleet's projects what a file says, all or nothing; applied again, it changes nothing. A dry
 * run goes as far as it can without a change, and finds the same errors. @throws AppError as each project would.
 */
export async function applyFleet(
  ctx: Ctx,
  {
    file,
    dryRun,
    prune,
  }: { file: z.output<typeof fleetFileSchema>; dryRun: boolean; prune: boolean },
): Promise<{ plan: FleetPlan; changes: ProjectChange[] }> {
  await lockPlacement(ctx);
  const plan = await planOf(ctx, { file, stored: await readAllProjects(ctx), prune });
  const undo = new Error("dry run");
  const changes = await ctx.db
    .transaction(async (tx) => {
      const done = await carryOut({ ...ctx, db: tx }, { plan, file });
      if (dryRun) throw undo;
      return done;
    })
    .catch((error: unknown) => {
      if (error !== undo) throw error;
      return [];
    });
  const count = (action: PlannedChange["action"]) =>
    plan.filter((change) => change.action === action).length;
  const summary = {
    create: count("create"),
    update: count("update"),
    remove: count("remove"),
    keep: count("keep"),
  };
  const shown = plan.filter(({ action }) => action !== "keep");
  return { plan: { applied: !dryRun, summary, plan: shown }, changes };
}
