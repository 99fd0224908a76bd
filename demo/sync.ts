import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../protocol/client.ts";
import { AppError } from "../protocol/errors.ts";
import type { RunDetail } from "../protocol/run.ts";

const finished = ({ state }: { state: string }) => state === "succeeded" || state === "failed";

/** Follows a run to its end, drawing it. @throws AppError with the failed task's log. */
export async function followRun(
  client: Client,
  { id, draw }: { id: string; draw: (run: RunDetail) => void },
): Promise<RunDetail> {
  for (;;) {
    const run = await client.getRun(id);
    draw(run);
    if (run.state === "succeeded") return run;
    if (finished(run)) {
      const task = run.tasks.find(({ state }) => state === "failed");
      const log = task ? (await text(await client.openTaskLog(task.id))).slice(-2000) : "";
      throw new AppError(
        "unavailable",
        `the run failed: ${run.reason ?? ""} ${task?.result?.message ?? ""}\n${log}`,
      );
    }
    await sleep(200);
  }
}

/** Waits for the next scheduled run that began after `after` (milliseconds); one that began earlier saw the old tree. */
export async function nextScheduledRun(
  client: Client,
  { project, after }: { project: string; after: number },
): Promise<string> {
  for (;;) {
    const { items: runs } = await client.listRuns({ project });
    const run = runs.findLast(
      ({ trigger, startedAt }) =>
        trigger === "schedule" && startedAt !== null && Date.parse(startedAt) > after,
    );
    if (run) return run.id;
    await sleep(200);
  }
}

/** Seconds of each hop: the time from when its host could begin to when it had the tree. */
export function hopSeconds(run: RunDetail): Record<string, number> {
  return Object.fromEntries(
    run.tasks.map(({ host, queuedAt, finishedAt }) => [
      host,
      Math.max(0, (Date.parse(finishedAt ?? queuedAt) - Date.parse(queuedAt)) / 1000),
    ]),
  );
}
