import type { Command } from "commander";
import { action, type CliCtx } from "../context.ts";
import { editText } from "../edit-text.ts";
import { exitFailed } from "../exit-status.ts";
import { followRun, printWhenEnded } from "../follow-run.ts";
import { collect, type Fields, fieldsOf, withFields } from "../project-fields.ts";
import { addReseed } from "./reseed.ts";
import { wholeNumber } from "../whole-number.ts";
import { dryRunText } from "../dry-run-text.ts";
import { definitionOf, projectTable, projectText, stateOf } from "../project-text.ts";
import { fromYaml, toYaml } from "../yaml.ts";

async function editProject({ client, print }: CliCtx, { name }: { name: string }) {
  const project = await client.getProject(name);
  const text = toYaml(definitionOf(project));
  await editText({ text, name: `${name}.yaml` }, async (after) => {
    if (after === text) return process.stderr.write("nothing was changed\n");
    // What was changed by somebody else meanwhile is not overwritten.
    const changed = await client.replaceProject(name, fromYaml(after, name), project.version);
    return print(changed, projectText);
  });
}

async function syncProject(
  ctx: CliCtx,
  {
    name,
    follow: follows = false,
    approveDeletions = null,
  }: { name: string; follow?: boolean; approveDeletions?: number | null },
) {
  const { client, print } = ctx;
  const run = await client.syncProject(name, { approveDeletions });
  if (!follows) return print(run, ({ id, state }) => `run ${id}: ${state}`);
  return printWhenEnded(ctx, run);
}

async function dryRunProject(
  ctx: CliCtx,
  { name, follow: follows = false }: { name: string; follow?: boolean },
) {
  const { client, print, json } = ctx;
  const { id, state } = await client.dryRunProject(name);
  if (!follows) return print({ id, state }, () => `run ${id}: ${state}`);
  const ended = await followRun(ctx, { id, quiet: json });
  print(ended, dryRunText);
  if (ended.state !== "succeeded") process.exitCode = exitFailed;
}

async function undoProject(ctx: CliCtx, { name }: { name: string }) {
  const { id } = await ctx.client.undoProject(name);
  await printWhenEnded(ctx, { id });
  process.stderr.write(
    `${name} is paused, or its next pull would delete the same again; when that is mended: mirrorfleet project resume ${name}\n`,
  );
}

/** `project`. */
export function addProject(program: Command): void {
  const project = program.command("project").description("projects: what is mirrored, from where");
  withFields(project.command("add"))
    .description("make a project")
    .argument("<name>")
    .action(
      action<Fields>(async ({ client, print }, { args: [name], options }) => {
        const fields = await fieldsOf(options);
        print(await client.createProject({ ...fields, name: name! }), projectText);
      }),
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
    .description("show what of a project is not as by default, and its replicas; --json shows all")
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
        const fields = await fieldsOf(options);
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
          await client.cloneProject(name!, { ...(await fieldsOf(options)), name: newName! }),
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
    .option("--approve-deletions <n>", "let up to this many deletions go on each host", wholeNumber)
    .action(
      action<{ follow?: boolean; approveDeletions?: number }>(async (ctx, { args, options }) =>
        syncProject(ctx, { name: args[0]!, ...options }),
      ),
    );
  project
    .command("dry-run")
    .description("list what a sync would create, change and delete on the master; changes nothing")
    .argument("<name>")
    .option("-f, --follow", "wait for it, and show what it found")
    .action(
      action<{ follow?: boolean }>(async (ctx, { args, options }) =>
        dryRunProject(ctx, { name: args[0]!, ...options }),
      ),
    );
  project
    .command("undo")
    .description("bring back what the last deletions on the master took, and pause the project")
    .argument("<name>")
    .action(action(async (ctx, { args: [name] }) => undoProject(ctx, { name: name! })));
  addReseed(project);
}
