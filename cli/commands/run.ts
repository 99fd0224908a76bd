import type { Command } from "commander";
import type { Run, RunDetail } from "../../protocol/run.ts";
import { action } from "../context.ts";
import { printWhenEnded } from "../follow-run.ts";
import { listing, size, table, time } from "../format.ts";
import { stateWord } from "../task-outcome.ts";

const runTable = (runs: Run[]) =>
  table(
    ["RUN", "PROJECT", "TRIGGER", "STATE", "SCHEDULED FOR", "GENERATION", "REASON"],
    runs.map((run) => [
      run.id,
      run.project,
      run.trigger,
      run.state,
      time(run.scheduledFor),
      run.generation,
      run.reason ?? "",
    ]),
  );

function runText(run: RunDetail): string {
  const facts = listing([
    ["run", run.id],
    ["project", run.project],
    ["trigger", run.trigger],
    ["state", run.state],
    ["reason", run.reason],
    ["scheduled for", time(run.scheduledFor)],
    ["started", time(run.startedAt)],
    ["finished", time(run.finishedAt)],
    ["generation", run.generation],
  ]);
  const tasks = table(
    ["TASK", "HOST", "STATE", "ATTEMPT", "FILES", "RECEIVED", "SECONDS", "MESSAGE"],
    run.tasks.map((task) => [
      task.id,
      task.host,
      stateWord(task),
      `${task.attempt}/${task.maxAttempts}`,
      task.result?.stats?.files ?? null,
      task.result?.stats ? size(task.result.stats.receivedBytes) : null,
      task.result?.seconds ?? null,
      task.result?.message ?? "",
    ]),
  );
  return `${facts}\n\n${tasks}`;
}

type ListOptions = {
  project?: string;
  host?: string;
  state?: string;
  since?: string;
  limit?: string;
};

/** `run`. */
export function addRun(program: Command): void {
  const run = program.command("run").description("runs: occurrences of a project's sync");
  run
    .command("list")
    .description("list runs, newest first")
    .option("--project <project>")
    .option("--host <host>")
    .option("--state <state>")
    .option("--since <time>", "for example 2026-11-24T00:00:00Z")
    .option("--limit <n>", "how many (default 20, at most 200)")
    .action(
      action<ListOptions>(async ({ client, print }, { options }) =>
        print((await client.listRuns({ limit: 20, ...options })).items, runTable),
      ),
    );
  run
    .command("show")
    .description("show a run and its tasks")
    .argument("<run>")
    .action(
      action(async ({ client, print }, { args: [id] }) => print(await client.getRun(id!), runText)),
    );
  run
    .command("cancel")
    .description("cancel a run: what waits at once, what runs when its agent says so")
    .argument("<run>")
    .action(
      action(async ({ client, print }, { args: [id] }) =>
        print(await client.cancelRun(id!), runText),
      ),
    );
  run
    .command("retry")
    .description("try again, in a new run, what failed or was cancelled")
    .argument("<run>")
    .option("-f, --follow", "show the progress until it has ended")
    .action(
      action<{ follow?: boolean }>(async (ctx, { args: [id], options }) => {
        const retried = await ctx.client.retryRun(id!);
        if (options.follow) return printWhenEnded(ctx, retried);
        return ctx.print(retried, runText);
      }),
    );
}
