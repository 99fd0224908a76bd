import type { Ctx } from "./context.ts";
import { firstAttempt, packLog, unpackedLogs } from "./db/queries/pack-log.ts";

/** Attempts that are looked at together. */
const limit = 200;

/**
 * Compresses the logs of attempts that have ended, one in a transaction, until all are, `signal`, or
 * `seconds` have passed. Any number of replicas may do this at once. Answers how many.
 */
export async function packLogs(
  ctx: Pick<Ctx, "db" | "now">,
  { seconds, signal }: { seconds: number; signal: AbortSignal },
): Promise<number> {
  const end = performance.now() + seconds * 1000;
  let packed = 0;
  for (let after = firstAttempt; ;) {
    const found = await unpackedLogs(ctx, { after, limit });
    for (const { ended, ...log } of found) {
      if (signal.aborted || performance.now() > end) return packed;
      if (ended && (await packLog(ctx, log))) packed += 1;
    }
    if (found.length < limit) return packed;
    after = found.at(-1)!;
  }
}
