import { deliverAlerts } from "./alerts/deliver.ts";
import { evaluateAlerts } from "./alerts/evaluate.ts";
import type { Ctx } from "./context.ts";
import { sampleDisks } from "./db/queries/disk-samples.ts";
import { removeOldAnswers } from "./db/queries/idempotent-answers.ts";
import { reclaimExpired } from "./dispatch/reclaim.ts";
import { packLogs } from "./pack-logs.ts";
import { removeOld } from "./retention.ts";
import { materialiseDue } from "./schedule/materialise.ts";

/** Seconds that one round takes at most for what may take long. */
const longestSeconds = 20;

/**
 * Does once what a server's loops do again and again: starts what is due, takes back leases, tells of
 * alerts, removes what is old. Doing it twice, or at two places at once, does nothing.
 * @throws AggregateError of what failed, after all the others.
 */
export async function upkeep(ctx: Ctx): Promise<void> {
  const signal = AbortSignal.timeout(longestSeconds * 1000);
  const steps: Record<string, () => Promise<unknown>> = {
    schedule: () => materialiseDue(ctx),
    reclaim: () => reclaimExpired(ctx),
    alerts: () => evaluateAlerts(ctx),
    "delivery of alerts": () => deliverAlerts(ctx, { signal }),
    "disk samples": () => sampleDisks(ctx),
    "forget kept answers": () => removeOldAnswers(ctx),
    "packing of logs": () => packLogs(ctx, { seconds: longestSeconds, signal }),
    retention: () => removeOld(ctx, { seconds: longestSeconds, signal }),
  };
  const failures: unknown[] = [];
  for (const [name, step] of Object.entries(steps)) {
    await step().catch((error: unknown) => {
      ctx.log.error({ err: error }, `${name} failed; it is tried again`);
      failures.push(error);
    });
  }
  if (failures.length > 0) throw new AggregateError(failures, "a part of the upkeep failed");
}
