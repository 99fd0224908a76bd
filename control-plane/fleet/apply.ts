import { isDeepStrictEqual } from "node:util";
import type { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import type { FleetPlan, fleetFileSchema, PlannedChange } from "../../protocol/fleet-file.ts";
import { type Project, type ProjectInput, projectReplaceSchema } from "../../protocol/project.ts";
import type { Ctx } from "../context.ts";
import { readAllProjects } from "../db/queries/projects.ts";
import {
  createProject,
  definitionOf,
  readPassword,
  removeProject,
  replaceProject,
} from "./projects.ts";

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
  for (const input of file.projects) {
    const project = byName.get(input.name);
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
): Promise<void> {
  const byName = new Map(file.projects.map((input, index) => [input.name, { input, index }]));
  for (const { action, project: name } of plan) {
    if (action === "keep") continue;
    if (action === "remove") {
      await removeProject(ctx, { name, ifMatch: null });
      continue;
    }
    const { input, index } = byName.get(name)!;
    try {
      if (action === "create") await createProject(ctx, { input });
      else {
        const { name: _name, master: _master, ...definition } = input;
        await replaceProject(ctx, { name, ifMatch: null, definition });
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
): Promise<FleetPlan> {
  const plan = await planOf(ctx, { file, stored: await readAllProjects(ctx), prune });
  const undo = new Error("dry run");
  await ctx.db
    .transaction(async (tx) => {
      await carryOut({ ...ctx, db: tx }, { plan, file });
      if (dryRun) throw undo;
    })
    .catch((error: unknown) => {
      if (error !== undo) throw error;
    });
  const count = (action: PlannedChange["action"]) =>
    plan.filter((change) => change.action === action).length;
  return {
    applied: !dryRun,
    summary: {
      create: count("create"),
      update: count("update"),
      remove: count("remove"),
      keep: count("keep"),
    },
    plan: plan.filter(({ action }) => action !== "keep"),
  };
}
