import type { Command } from "commander";
import type { Status } from "../../protocol/settings.ts";
import { action } from "../context.ts";
import { printWhenEnded } from "../follow-run.ts";
import { table } from "../format.ts";

/** Deletions that wait for an operator. */
export const heldTable = (held: Status["held"]) =>
  table(
    ["HELD: TASK", "PROJECT", "HOST", "DELETIONS", "OF ENTRIES"],
    held.map(({ task, project, host, deletions, entries }) => [
      task,
      project,
      host,
      deletions,
      entries,
    ]),
  );

/** `held`. */
export function addHeld(program: Command): void {
  const held = program.command("held").description("deletions that wait for an operator");
  held
    .command("list")
    .description("list them; the task's log and `run show` say which files")
    .action(action(async ({ client, print }) => print((await client.getStatus()).held, heldTable)));
  held
    .command("approve")
    .description("let the deletions that a task holds go, once, and no more than it named")
    .argument("<task>")
    .option("-f, --follow", "show the progress until it has ended")
    .action(
      action<{ follow?: boolean }>(async (ctx, { args: [id], options }) => {
        const run = await ctx.client.approveTask(id!);
        if (options.follow) return printWhenEnded(ctx, run);
        return ctx.print(run, ({ state }) => `run ${run.id}: ${state}`);
      }),
    );
  held
    .command("dismiss")
    .description("leave the files; the next sync asks again")
    .argument("<task>")
    .action(
      action(async ({ client, print }, { args: [id] }) =>
        print(await client.dismissTask(id!), (task) => `task ${task.id}: nothing is deleted`),
      ),
    );
}
