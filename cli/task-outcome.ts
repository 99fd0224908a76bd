import type { RunDetail, Task } from "../protocol/run.ts";

type Ended = Pick<Task, "id" | "host" | "state" | "result">;

/** Did it end because its deletions wait for an operator? */
const isHeld = ({ state, result }: Ended) => state === "failed" && result?.outcome === "held";

/** A task's state in a word; of one whose deletions wait for an operator that, not that it failed. */
export const stateWord = (task: Ended): string => (isHeld(task) ? "held" : task.state);

/** Why a run's tasks did not succeed, a line each, and what to type about what is held; empty where all did. */
function whyLines({ tasks }: Pick<RunDetail, "tasks">): string[] {
  return tasks.flatMap((task) => {
    const { message } = task.result ?? {};
    if (task.state === "succeeded" || !message) return [];
    const said = `  ${task.host} ${stateWord(task)}: ${message}`;
    return isHeld(task)
      ? [
          said,
          `    to let them go: mirrorfleet held approve ${task.id}`,
          `    to leave them:  mirrorfleet held dismiss ${task.id}`,
        ]
      : [said];
  });
}

/** A run that has ended, in a line, with why it did not succeed below. */
export const endedText = (run: RunDetail): string =>
  [`run ${run.id}: ${run.state}${run.reason ? `: ${run.reason}` : ""}`, ...whyLines(run)].join(
    "\n",
  );
