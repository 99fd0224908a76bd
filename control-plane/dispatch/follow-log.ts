import { setTimeout as sleep } from "node:timers/promises";
import type { Ctx } from "../context.ts";
import { findLog, readLog } from "../db/queries/log-chunks.ts";

const longestSeconds = 600;
const lookEverySeconds = 1;

/** Yields an attempt's log from a byte on, as it comes, until the attempt has ended; ten minutes at most. */
export async function* followLog(
  ctx: Pick<Ctx, "db">,
  {
    taskId,
    attempt,
    offset,
    signal,
  }: { taskId: string; attempt: number; offset: number; signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  let next = offset;
  for (let waited = 0; !signal.aborted && waited < longestSeconds; waited += lookEverySeconds) {
    // First whether it has ended, then what there is: nothing comes in between.
    const { ended } = await findLog(ctx, { taskId, attempt });
    const bytes = await readLog(ctx, { taskId, attempt, offset: next });
    if (bytes.length > 0) yield new Uint8Array(bytes);
    next += bytes.length;
    if (ended) return;
    await sleep(lookEverySeconds * 1000);
  }
}
