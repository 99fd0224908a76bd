import type { Command } from "commander";
import { parse as parseYaml } from "yaml";
import { AppError } from "../../protocol/errors.ts";
import { type Project, projectReplaceSchema } from "../../protocol/project.ts";
import { action, type CliCtx } from "../context.ts";
import { editText } from "../edit-text.ts";
import { exitFailed } from "../exit-status.ts";
import { followRun } from "../follow-run.ts";
import { ago, listing, table, time } from "../format.ts";
import { toYaml } from "../yaml.ts";

const stateOf = ({ paused, schedule }: Project) =>
  paused ? "paused" : schedule === null ? "on trigger" : "scheduled";

const projectTable = (projects: Project[]) =>
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
function definitionOf(project: Project): Record<string, unknown> {
  const login = project.login && { user: project.login.user, host: project.login.host };
  return Object.fromEntries(
    Object.keys(projectReplaceSchema.shape).map((field) => [
      field,
      field === "login" ? login : project[field as keyof Project],
    ]),
  );
}

function projectText(project: Project): string {
  const { replicas, version, generation, nextRunAt, createdAt } = project;
  const state = listing([
    ["state", stateOf(project)],
    ["generation", generation],
    ["next run", time(nextRunAt)],
    ["made", time(createdAt)],
    ["version", version],
  ]);
  const carried = table(
    ["HOST", "ROLE", "GENERATION", "BEHIND", "SYNCED", "STATE"],
    replicas.map(({ host, role, generation: has, behind, syncedAt, paused: stopped }) => [
      host,
      role,
      has,
      behind,
      ago(syncedAt),
      stopped ? "paused" : "",
    ]),
  );
  return `${toYaml({ name: project.name, ...definitionOf(project) })}\n${state}\n\n${carried}`;
}

type Fields = {
  upstream?: string;
  schedule?: string;
  zone?: string;
  path?: string;
  description?: string;
  set?: string[];
};

const collect = (value: string, before: string[] = []) => [...before, value];

/** "rsync.bandwidthKiBps=2000" as {rsync: {bandwidthKiBps: 2000}}; values are YAML. */
function assignment(text: string): Record<string, unknown> {
  const at = text.indexOf("=");
  if (at < 1)
    throw new AppError("invalid-input", `--set "${text}" must be field=value: maxAttempts=5`);
  return text
    .slice(0, at)
    .split(".")
    .reduceRight<unknown>(
      (value, key) => ({ [key]: value }),
      parseYaml(text.slice(at + 1)),
    ) as Record<string, unknown>;
}

function merge(left: Record<string, unknown>, right: Record<string, unknown>) {
  const merged = { ...left };
  for (const [key, value] of Object.entries(right)) {
    const before = merged[key];
    const both = [before, value].every(
      (each) => typeof each === "object" && each !== null && !Array.isArray(each),
    );
    merged[key] = both
      ? merge(before as Record<string, unknown>, value as Record<string, unknown>)
      : value;
  }
  return merged;
}

function fieldsOf({ set = [], ...fields }: Fields): Record<string, unknown> {
  return set.map(assignment).reduce(merge, { ...fields });
}

const withFields = (command: Command) =>
  command
    .option("--upstream <url>", "rsync://host/module/; without it the project is hosted here")
    .option("--schedule <cron>", "cron expression, 5 fields or 6 with seconds")
    .option("--zone <zone>", "time zone of the schedule (default UTC)")
    .option("--path <path>", "below the mirror root (default: the name)")
    .option("--description <text>", "what people call it")
    .option(
      "--set <field=value>",
      "any other field, value as YAML: rsync.bandwidthKiBps=2000",
      collect,
    );

async function editProject({ client, print }: CliCtx, { name }: { name: string }) {
  const project = await client.getProject(name);
  const before = toYaml(definitionOf(project));
  const after = await editText({ text: before, name: `${name}.yaml` });
  if (after === before) return process.stderr.write("nothing was changed\n");
  // What was changed by somebody else meanwhile is not overwritten.
  const changed = await client.replaceProject(name, parseYaml(after), project.version);
  return print(changed, projectText);
}

async function syncProject(
  ctx: CliCtx,
  {
    name,
    follow = false,
    approveDeletions,
  }: { name: string; follow?: boolean; approveDeletions?: string },
) {
  const { client, print, json } = ctx;
  const run = await client.syncProject(name, {
    approveDeletions: approveDeletions === undefined ? null : Number(approveDeletions),
  });
  if (!follow) return print(run, ({ id, state }) => `run ${id}: ${state}`);
  const ended = await followRun(ctx, { id: run.id, quiet: json });
  print(ended, ({ id, state, reason }) => `run ${id}: ${state}${reason ? `: ${reason}` : ""}`);
  if (ended.state !== "succeeded") process.exitCode = exitFailed;
  return undefined;
}

/** `project`. */
export function addProject(program: Command): void {
  const project = program.command("project").description("projects: what is mirrored, from where");
  withFields(project.command("add"))
    .description("make a project")
    .argument("<name>")
    .action(
      action<Fields>(async ({ client, print }, { args: [name], options }) =>
        print(await client.createProject({ ...fieldsOf(options), name: name! }), projectText),
      ),
    );
  project
    .command("list")
    .description("list projects")
    .option("--search <text>", "part of a name")
    .option("--host <host>", "carried by this host")
    .action(
      action<{ search?: string; host?: string }>(async ({ client, print }, { options }) =>
        print(await client.listProjects(options), projectTable),
      ),
    );
  project
    .command("show")
    .description("show a project and its replicas")
    .argument("<name>")
    .action(
      action(async ({ client, print }, { args: [name] }) =>
        print(await client.getProject(name!), projectText),
      ),
    );
  withFields(project.command("edit"))
    .description("change fields; without any, in your editor")
    .argument("<name>")
    .action(
      action<Fields>(async (ctx, { args: [name], options }) => {
        const fields = fieldsOf(options);
        if (Object.keys(fields).length === 0) await editProject(ctx, { name: name! });
        else ctx.print(await ctx.client.patchProject(name!, fields), projectText);
      }),
    );
  project
    .command("clone")
    .description("make a project like another")
    .argument("<name>")
    .argument("<new-name>")
    .option("--set <field=value>", "what differs", collect)
    .action(
      action<Fields>(async ({ client, print }, { args: [name, newName], options }) =>
        print(
          await client.cloneProject(name!, { ...fieldsOf(options), name: newName! }),
          projectText,
        ),
      ),
    );
  project
    .command("remove")
    .description("remove a project with its runs; its files stay on the hosts")
    .argument("<name>")
    .action(
      action(async ({ client, print }, { args: [name] }) =>
        print(
          await client.deleteProject(name!),
          ({ path }) => `removed; its files stay in ${path} on the hosts`,
        ),
      ),
    );
  for (const verb of ["pause", "resume"] as const)
    project
      .command(verb)
      .description(verb === "pause" ? "stop schedule and triggers" : "let it go on")
      .argument("<name>")
      .action(
        action(async ({ client, print }, { args: [name] }) =>
          print(
            await client[`${verb}Project`](name!),
            (changed) => `${changed.name}: ${stateOf(changed)}`,
          ),
        ),
      );
  project
    .command("sync")
    .description("sync now")
    .argument("<name>")
    .option("-f, --follow", "show the progress until it has ended")
    .option("--approve-deletions <n>", "let up to this many deletions go on each host")
    .action(
      action<{ follow?: boolean; approveDeletions?: string }>(async (ctx, { args, options }) =>
        syncProject(ctx, { name: args[0]!, ...options }),
      ),
    );
}
