import { isDeepStrictEqual } from "node:util";
import { type Project, projectReplaceSchema } from "../protocol/project.ts";
import { ago, duration, listing, table, time } from "./format.ts";
import { toYaml } from "./yaml.ts";

/** In a word what a project does. */
export const stateOf = ({ paused, schedule }: Project) =>
  paused ? "paused" : schedule === null ? "on trigger" : "scheduled";

/** Projects, a line each. */
export const projectTable = (projects: Project[]) =>
  table(
    ["NAME", "UPSTREAM", "SCHEDULE", "STATE", "NEXT", "GENERATION", "BEHIND"],
    projects.map((project) => [
      project.name,
      project.upstream ??
        (project.parts.length > 0 ? `${project.parts.length} parts` : "hosted here"),
      project.schedule,
      stateOf(project),
      time(project.nextRunAt),
      project.generation,
      project.replicas.filter(({ behind }) => behind > 0).length,
    ]),
  );

/** What an administrator says of a project; its password cannot be read. */
export function definitionOf(project: Project): Record<string, unknown> {
  const login = project.login && { user: project.login.user, host: project.login.host };
  return Object.fromEntries(
    Object.keys(projectReplaceSchema.shape).map((field) => [
      field,
      field === "login" ? login : project[field as keyof Project],
    ]),
  );
}

const unlike = (fields: object, others: Record<string, unknown>) =>
  Object.entries(fields).filter(([field, value]) => !isDeepStrictEqual(value, others[field]));

/** Of a project's definition what is not as it were if nothing were said. */
function saidOf(project: Project): Record<string, unknown> {
  const defaults = { ...projectReplaceSchema.parse({}), path: project.name };
  return Object.fromEntries(
    unlike(definitionOf(project), defaults).map(([field, value]) => [
      field,
      field === "rsync" ? Object.fromEntries(unlike(project.rsync, defaults.rsync)) : value,
    ]),
  );
}

/** A project as far as it is not the default, its state and its replicas. */
export function projectText(project: Project): string {
  const { replicas, version, generation, nextRunAt, createdAt } = project;
  const state = listing([
    ["state", stateOf(project)],
    ["generation", generation],
    ["fresh within", duration(project.freshTargetSeconds)],
    ["next run", time(nextRunAt)],
    ["made", time(createdAt)],
    ["version", version],
  ]);
  const carried = table(
    ["HOST", "ROLE", "GENERATION", "BEHIND", "SYNCED", "FRESH", "STATE"],
    replicas.map(
      ({ host, role, generation: has, behind, syncedAt, freshAt, stale, paused: stopped }) => [
        host,
        role,
        has,
        behind,
        ago(syncedAt),
        ago(freshAt),
        stopped ? "paused" : stale ? "stale" : "",
      ],
    ),
  );
  return `${toYaml({ name: project.name, ...saidOf(project) })}\n${state}\n\n${carried}`;
}
