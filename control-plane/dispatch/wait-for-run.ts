import { setTimeout as sleep } from "node:timers/promises";
import type { RunDetail } from "../../protocol/run.ts";
import type { Ctx } from "../context.ts";
import { readRun } from "../db/queries/runs.ts";

const longestSeconds = 600;
const lookEverySeconds = 1;

const hasEnded = ({ state }: RunDetail) =>
  state !== "queued" && state !== "running" && state !== "distributing";

/** Answers a run when it has ended, or as it is after ten minutes or when nobody waits. @throws AppError `not-found`. */
export async function waitForRun(
  ctx: Pick<Ctx, "db">,
  { id, signal }: { id: string; signal: AbortSignal },
): Promise<RunDetail> {
  for (let waited = 0; ; waited += lookEverySeconds) {
    const run = await readRun(ctx, { id });
    if (hasEnded(run) || waited >= longestSeconds || signal.aborted) return run;
    await sleep(lookEverySeconds * 1000);
  }
}
