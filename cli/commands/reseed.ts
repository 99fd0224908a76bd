import { existsSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { AppError } from "../../protocol/errors.ts";
import type { Project } from "../../protocol/project.ts";
import { parseRsyncUrl } from "../../protocol/rsync.ts";
import { action, type CliCtx } from "../context.ts";
import { exitFailed } from "../exit-status.ts";
import { followRun } from "../follow-run.ts";
import { patiently } from "../patiently.ts";
import { definitionToKeep, originalDefinition, temporaryDefinition } from "../reseed-definition.ts";
import { toYaml } from "../yaml.ts";

type Options = { from: string; keep?: string; yes?: boolean };
/** Milliseconds between two looks at what still runs. */
const lookMilliseconds = 1000;

const masterOf = ({ replicas }: Project) => replicas.find(({ role }) => role === "master")!.host;
const others = ({ replicas }: Project) =>
  replicas.filter(({ role }) => role === "ftp").map(({ host }) => host);

function planText(project: Project, { from, file }: { from: string; file: string }): string {
  const { name } = project;
  const hosts = others(project);
  const hostedHere = project.upstream === null && project.parts.length === 0;
  return [
    `re-seed of ${name} on ${masterOf(project)} from ${from}`,
    `1. keep its definition in ${file}; by hand it comes back with: mirrorfleet apply -f ${file}`,
    `2. pause it on ${hosts.join(", ") || "no host: it is on none but the master"}: nothing is pulled or deleted there`,
    "3. wait until nothing of it runs that was begun before",
    `4. pull all that ${from} has, whatever its filters, and delete nothing`,
    `5. put its definition back, and rename ${file} to ${file}.done`,
    "6. yours: compare, pull from its own upstream, then let each host go on:",
    ...hosts.map((host) => `     mirrorfleet replica resume ${name} ${host}`),
    `MIRRORFLEET_SOURCES of ${masterOf(project)} must allow ${from}`,
    ...(hostedHere ? ["uploads to the master, and triggers, must wait until this is done"] : []),
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

/** Pausing lets what runs go on: waits until no task of the project does, and says for which it waits. */
async function untilNothingRuns({ client }: Pick<CliCtx, "client">, { name }: { name: string }) {
  for (let said = ""; ; await sleep(lookMilliseconds)) {
    const { items } = await patiently(() => client.listTasks({ project: name, state: "leased" }));
    if (items.length === 0) return;
    const waits = items
      .map(({ host, runId }) => `waits for ${host}; to end it: mirrorfleet run cancel ${runId}\n`)
      .join("");
    if (waits !== said) process.stderr.write(waits);
    said = waits;
  }
}

async function reseed(ctx: CliCtx, { name, from, keep, yes = false }: Options & { name: string }) {
  const { client, json } = ctx;
  parseRsyncUrl(from);
  const project = await client.getProject(name);
  const file = keep ?? `reseed-${name}.yaml`;
  const definition = await definitionToKeep(project, { file, from });
  await check(ctx, project);
  process.stderr.write(`${planText(project, { from, file })}\n`);
  if (!yes) {
    process.stderr.write("nothing was done: with --yes it is\n");
    return;
  }
  if (!existsSync(file))
    await writeFile(file, toYaml({ projects: [{ name, ...definition }] }), { flag: "wx" });
  for (const host of others(project)) await client.pauseReplica(name, host);
  await untilNothingRuns(ctx, { name });
  await client.patchProject(name, temporaryDefinition(definition, { from }));
  const { id } = await client.syncProject(name);
  const run = await followRun(ctx, { id, quiet: json });
  if (run.state !== "succeeded") {
    process.exitCode = exitFailed;
    process.stderr.write(
      `run ${id}: ${run.state}${run.reason ? `: ${run.reason}` : ""}; the same command goes on from here, or mirrorfleet apply -f ${file} puts the definition back\n`,
    );
    return;
  }
  const restored = await client.patchProject(name, originalDefinition(definition));
  // Months later it would be an outdated definition.
  await rename(file, `${file}.done`);
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
