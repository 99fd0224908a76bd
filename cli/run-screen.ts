import type { RunDetail, Task } from "../protocol/run.ts";
import { size } from "./format.ts";
import { stateWord } from "./task-outcome.ts";

const width = 24;

/** Share of a task that is done, 0 to 1. */
function share({ state, progress }: Task): number {
  if (state === "succeeded") return 1;
  if (!progress) return 0;
  return progress.filesTotal > 0
    ? progress.filesChecked / progress.filesTotal
    : progress.percent / 100;
}

/** One host's line: bar, files, bytes, and its rate or what it waits for. */
function line(task: Task, { nameWidth, waits }: { nameWidth: number; waits: string }): string {
  const filled = Math.min(width, Math.round(share(task) * width));
  const bar = "█".repeat(filled) + "░".repeat(width - filled);
  const { progress, result } = task;
  const files = result?.stats?.files ?? progress?.filesChecked ?? 0;
  const bytes = result?.stats?.transferredBytes ?? progress?.bytes ?? 0;
  const rate = result
    ? `in ${result.seconds.toFixed(1)} s`
    : progress
      ? `${size(progress.bytesPerSecond)}/s`
      : "";
  const why = task.state === "queued" ? waits : "";
  const state = task.state === "leased" ? "syncing" : stateWord(task);
  return `  ${task.host.padEnd(nameWidth)} ${bar} ${state.padEnd(9)} ${String(files).padStart(7)} files ${size(bytes).padStart(9)} ${why || rate.padStart(11)}`;
}

/** Draws a run's hosts, and why they wait where `waits` says so, over the lines drawn before on a terminal; elsewhere it prints them at each change of state. */
export function createRunScreen({
  output,
  hosts,
}: {
  output: NodeJS.WriteStream;
  hosts: string[];
}) {
  const nameWidth = Math.max(8, ...hosts.map((host) => host.length));
  let drawn = 0;
  let last = "";
  const draw = (run: RunDetail, waits: Map<string, string> = new Map()) => {
    const lines = hosts.map((host) => {
      const task = run.tasks.find((candidate) => candidate.host === host);
      return task
        ? line(task, { nameWidth, waits: waits.get(host) ?? "" })
        : `  ${host.padEnd(nameWidth)} ${"░".repeat(width)} ${run.finishedAt ? "nothing to do" : "waits for the master"}`;
    });
    if (output.isTTY) {
      // A line that wraps would be two, and the next drawing one too low.
      const room = Math.max(20, output.columns - 1);
      output.write(
        `${drawn > 0 ? `\u001b[${drawn}A` : ""}${lines.map((text) => `\u001b[2K${text.slice(0, room)}\n`).join("")}`,
      );
      drawn = lines.length;
      return;
    }
    const states = run.tasks
      .map(({ host, state }) => `${host} ${state} ${state === "queued" ? waits.get(host) : ""}`)
      .join();
    if (states !== last) output.write(`${lines.join("\n")}\n\n`);
    last = states;
  };
  const next = () => {
    drawn = 0;
    last = "";
  };
  return { draw, next };
}
