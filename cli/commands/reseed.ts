import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { AppError, parse } from "../../protocol/errors.ts";
import { fleetFileSchema } from "../../protocol/fleet-file.ts";
import type { Project } from "../../protocol/project.ts";
import { parseRsyncUrl } from "../../protocol/rsync.ts";
import { action, type CliCtx } from "../context.ts";
import { exitFailed } from "../exit-status.ts";
import { followRun } from "../follow-run.ts";
import { definitionOf } from "../project-text.ts";
import { fromYaml, toYaml } from "../yaml.ts";

type Options = { from: string; keep?: string; yes?: boolean };
type Definition = Record<string, unknown> &
  Pick<Project, "upstream" | "fallbacks" | "parts" | "sentinel" | "schedule" | "rsync">;

/** Sources that stand in for others, after the one that comes first. */
const maxFallbacks = 10;

/** What a project is while its master is filled from another host: its own sources come after that one. */
function temporary({ upstream, fallbacks, parts }: Definition, { from }: { from: string }) {
  const base = from.endsWith("/") ? from : `${from}/`;
  const after = (...urls: string[]) => urls.slice(0, maxFallbacks);
  const sources =
    parts.length > 0
      ? {
          parts: parts.map((part) => ({
            path: part.path,
            upstream: `${base}${part.path}/`,
            fallbacks: after(part.upstream, ...part.fallbacks),
          })),
        }
      : { upstream: base, fallbacks: upstream === null ? [] : after(upstream, ...fallbacks) };
  return { ...sources, sentinel: null, schedule: null, rsync: { delete: false } };
}

/** The same fields as they were. */
const original = (definition: Definition) => ({
  upstream: definition.upstream,
  fallbacks: definition.fallbacks,
  parts: definition.parts,
  sentinel: definition.sentinel,
  schedule: definition.schedule,
  rsync: definition.rsync,
});

/** The definition to go back to: of a re-seed that was begun before, what was kept then. */
async function kept(file: string, project: Project): Promise<Definition> {
  if (!existsSync(file)) return definitionOf(project) as Definition;
  const text = await readFile(file, "utf8");
  const { projects } = parse(fleetFileSchema, fromYaml(text, file), file);
  const before = projects.find(({ name }) => name === project.name);
  if (!before)
    throw new AppError("conflict", `${file} is there, and is not of ${project.name}: name another`);
  return before;
}

const masterOf = ({ replicas }: Project) => replicas.find(({ role }) => role === "master")!.host;
const others = ({ replicas }: Project) =>
  replicas.filter(({ role }) => role === "ftp").map(({ host }) => host);

function planText(project: Project, { from, file }: { from: string; file: string }): string {
  const { name } = project;
  const hosts = others(project);
  return [
    `re-seed of ${name} on ${masterOf(project)} from ${from}`,
    `1. keep its definition in ${file}; by hand it comes back with: mirrorfleet apply -f ${file}`,
    `2. pause it on ${hosts.join(", ") || "no host: it is on none but the master"}: nothing is pulled or deleted there`,
    `3. pull from ${from}, and delete nothing; where that cannot be reached, from its own sources`,
    "4. put its definition back",
    "5. yours: compare, pull from its own upstream, then let each host go on:",
    ...hosts.map((host) => `     mirrorfleet replica resume ${name} ${host}`),
    `MIRRORFLEET_SOURCES of ${masterOf(project)} must allow ${from}`,
  ].join("\n");
}

async function check({ client }: CliCtx, project: Project): Promise<void> {
  const host = await client.getHost(masterOf(project));
  if (project.paused)
    throw new AppError("conflict", `${project.name} is paused: mirrorfleet project resume first`);
  if (host.state === "revoked" || host.state === "invited")
    throw new AppError(
      "conflict",
      `the master ${host.name} is ${host.state}: mirrorfleet host invite ${host.name}, and join it, first`,
    );
}

async function reseed(ctx: CliCtx, { name, from, keep, yes = false }: Options & { name: string }) {
  const { client, json } = ctx;
  parseRsyncUrl(from);
  const project = await client.getProject(name);
  const file = keep ?? `reseed-${name}.yaml`;
  const definition = await kept(file, project);
  await check(ctx, project);
  process.stderr.write(`${planText(project, { from, file })}\n`);
  if (!yes) {
    process.stderr.write("nothing was done: with --yes it is\n");
    return;
  }
  if (!existsSync(file))
    await writeFile(file, toYaml({ projects: [{ name, ...definition }] }), { flag: "wx" });
  for (const host of others(project)) await client.pauseReplica(name, host);
  await client.patchProject(name, temporary(definition, { from }));
  const { id } = await client.syncProject(name);
  const run = await followRun(ctx, { id, quiet: json });
  if (run.state !== "succeeded") {
    process.exitCode = exitFailed;
    process.stderr.write(
      `run ${id}: ${run.state}${run.reason ? `: ${run.reason}` : ""}; the same command goes on from here, or mirrorfleet apply -f ${file} puts the definition back\n`,
    );
    return;
  }
  const restored = await client.patchProject(name, original(definition));
  ctx.print(restored, () => `${name}: the master has what ${from} has, and its definition is back`);
}

/** `project reseed`. */
export function addReseed(project: Command): void {
  project
    .command("reseed")
    .description(
      "fill a master that was lost from an FTP host's rsync daemon; shows the plan first",
    )
    .argument("<name>")
    .requiredOption("--from <url>", "rsync://host/module/path/ of the surviving tree")
    .option("--keep <file>", "where its definition is kept meanwhile (default reseed-NAME.yaml)")
    .option("--yes", "do it; without, only the plan is shown")
    .action(
      action<Options>((ctx, { args: [name], options }) => reseed(ctx, { ...options, name: name! })),
    );
}
