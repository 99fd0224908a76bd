import type { Command } from "commander";
import type { RunDetail, Task, TaskDetail } from "../../protocol/run.ts";
import { action } from "../context.ts";
import { listing, size, table, time } from "../format.ts";
import { stateWord } from "../task-outcome.ts";

const taskTable = (tasks: Task[]) =>
  table(
    ["TASK", "PROJECT", "HOST", "STATE", "ATTEMPT", "QUEUED", "MESSAGE"],
    tasks.map((task) => [
      task.id,
      task.project,
      task.host,
      stateWord(task),
      `${task.attempt}/${task.maxAttempts}`,
      time(task.queuedAt),
      task.result?.message ?? "",
    ]),
  );

function taskText(task: TaskDetail): string {
  const facts = listing([
    ["task", task.id],
    ["run", task.runId],
    ["project", task.project],
    ["host", task.host],
    ["role", task.role],
    ["state", task.cancelRequested && task.state === "leased" ? "to be cancelled" : task.state],
    ["queued", time(task.queuedAt)],
    ["started", time(task.startedAt)],
    ["finished", time(task.finishedAt)],
  ]);
  const attempts = table(
    ["ATTEMPT", "STATE", "STARTED", "SECONDS", "FILES", "RECEIVED", "OUTCOME", "MESSAGE"],
    task.attempts.map(({ attempt, state, startedAt, result }) => [
      attempt,
      state,
      time(startedAt),
      result?.seconds ?? null,
      result?.stats?.files ?? null,
      result?.stats ? size(result.stats.receivedBytes) : null,
      result?.outcome ?? null,
      result?.message ?? "",
    ]),
  );
  return `${facts}\n\n${attempts}`;
}

type ListOptions = {
  project?: string;
  host?: string;
  run?: string;
  state?: string;
  since?: string;
  limit?: string;
};

/** `task`. */
export function addTask(program: Command): void {
  const task = program.command("task").description("tasks: one rsync on one host inside a run");
  task
    .command("list")
    .description("list tasks, newest first")
    .option("--project <project>")
    .option("--host <host>")
    .option("--run <run>")
    .option("--state <state>")
    .option("--since <time>", "for example 2026-11-24T00:00:00Z")
    .option("--limit <n>", "how many (default 20, at most 200)")
    .action(
      action<ListOptions>(async ({ client, print }, { options }) =>
        print((await client.listTasks({ limit: 20, ...options })).items, taskTable),
      ),
    );
  task
    .command("show")
    .description("show a task and its attempts")
    .argument("<task>")
    .action(
      action(async ({ client, print }, { args: [id] }) =>
        print(await client.getTask(id!), taskText),
      ),
    );
  task
    .command("cancel")
    .description("cancel a task: at once while it waits, else when its agent says so")
    .argument("<task>")
    .action(
      action(async ({ client, print }, { args: [id] }) =>
        print(await client.cancelTask(id!), taskText),
      ),
    );
  task
    .command("retry")
    .description("try a failed or cancelled task again, in a new run")
    .argument("<task>")
    .action(
      action(async ({ client, print }, { args: [id] }) =>
        print(
          await client.retryTask(id!),
          ({ id: run, state }: RunDetail) => `run ${run}: ${state}`,
        ),
      ),
    );
}
