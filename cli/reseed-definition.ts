import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { AppError, parse } from "../protocol/errors.ts";
import { fleetFileSchema } from "../protocol/fleet-file.ts";
import type { Project } from "../protocol/project.ts";
import { parseRsyncUrl } from "../protocol/rsync.ts";
import { definitionOf } from "./project-text.ts";
import { fromYaml } from "./yaml.ts";

type Changed = Pick<
  Project,
  "upstream" | "fallbacks" | "parts" | "sentinel" | "schedule" | "rsync"
>;
type Definition = Record<string, unknown> &
  Changed & { login?: { host?: string | undefined } | null };

const directory = (url: string) => (url.endsWith("/") ? url : `${url}/`);

const urlsOf = ({ upstream, fallbacks, parts }: Changed) =>
  [upstream, ...fallbacks, ...parts.flatMap((part) => [part.upstream, ...part.fallbacks])].filter(
    (url) => url !== null,
  );

/** A place of the login's host where nothing is: the stored password stays only while a source has that host. */
function placeOfLogin({ login, ...definition }: Definition): string[] {
  if (!login) return [];
  const urls = urlsOf(definition);
  const own = urls.find((url) => parseRsyncUrl(url).host === login.host) ?? urls[0];
  return own === undefined ? [] : [`${directory(own)}.mirrorfleet-reseed-nothing/`];
}

/**
 * What a project is while its master is filled from another host: the whole tree of that host alone, unfiltered and
 * in one go. What filters or parts kept on the master is on the FTP hosts as well, and would be deleted there later.
 */
export const temporaryDefinition = (definition: Definition, { from }: { from: string }) => ({
  upstream: directory(from),
  fallbacks: placeOfLogin(definition),
  parts: [],
  sentinel: null,
  schedule: null,
  rsync: { delete: false, filters: [], indexesLast: null, indexPatterns: [] },
});

/** The same fields as they were. */
export const originalDefinition = (definition: Changed): Changed => ({
  upstream: definition.upstream,
  fallbacks: definition.fallbacks,
  parts: definition.parts,
  sentinel: definition.sentinel,
  schedule: definition.schedule,
  rsync: definition.rsync,
});

/** Whether a project is as `temporaryDefinition` makes it, from this source or another. */
function isTemporary(project: Project, { from }: { from: string }): boolean {
  if (project.upstream === directory(from)) return true;
  const { upstream, schedule, sentinel, rsync } = project;
  const others = project.replicas.filter(({ role }) => role === "ftp");
  const plain = schedule === null && sentinel === null && rsync.filters.length === 0;
  const alone = others.length > 0 && others.every(({ paused }) => paused);
  return upstream !== null && plain && !rsync.delete && alone;
}

/**
 * The definition to go back to: the project's, or, of a re-seed that was begun before, what `file` kept then.
 * @throws AppError `conflict`, with the cure, where the file is not of this re-seed, or is elsewhere.
 */
export async function definitionToKeep(
  project: Project,
  { file, from }: { file: string; from: string },
): Promise<Definition> {
  const { name } = project;
  if (!existsSync(file)) {
    if (isTemporary(project, { from }))
      throw new AppError(
        "conflict",
        `a re-seed of ${name} was begun elsewhere: name the file with its definition, reseed-${name}.yaml of then, with --keep`,
      );
    return definitionOf(project) as Definition;
  }
  const { projects } = parse(fleetFileSchema, fromYaml(await readFile(file, "utf8"), file), file);
  const before = projects.find((each) => each.name === name);
  if (!before)
    throw new AppError("conflict", `${file} is there, and is not of ${name}: name another`);
  const same = isDeepStrictEqual(originalDefinition(project), originalDefinition(before));
  if (!same && project.upstream !== directory(from))
    throw new AppError(
      "conflict",
      `${file} is not of this re-seed: ${name} has another definition now. If that one is right, move the file away; if the re-seed was begun from another host, name that one, or first mirrorfleet apply -f ${file}`,
    );
  return before;
}
