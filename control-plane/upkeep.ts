import { deliverAlerts } from "./alerts/deliver.ts";
import { evaluateAlerts } from "./alerts/evaluate.ts";
import type { Ctx } from "./context.ts";
import { sampleDisks } from "./db/queries/disk-samples.ts";
import { removeOldAnswers } from "./db/queries/idempotent-answers.ts";
import { noteRound } from "./db/queries/upkeep-rounds.ts";
import { leaseSeconds } from "./dispatch/lease.ts";
import { reclaimExpired } from "./dispatch/reclaim.ts";
import { packLogs } from "./pack-logs.ts";
import { removeOld } from "./retention.ts";
import { materialiseDue } from "./schedule/materialise.ts";

/** Seconds that each step takes at most which may take long; all of them end within a function's minute. */
const longestSeconds = 15;

/**
 * Does once what a server's loops do again and again: starts what is due, takes back leases, tells of
 * alerts, removes what is old. Doing it twice, or at two places at once, does nothing. After an absence of more
 * than a lease, agents get one lease's time to be heard again before any lease is taken back, or an alert opened.
 * @throws AggregateError of what failed, after all the others.
 */
export async function upkeep(ctx: Ctx): Promise<void> {
  const soon = () => AbortSignal.timeout(longestSeconds * 1000);
  const heard = (await noteRound(ctx, { pauseSeconds: leaseSeconds })) >= leaseSeconds;
  const onceHeard: Record<string, () => Promise<unknown>> = {
    reclaim: () => reclaimExpired(ctx),
    alerts: () => evaluateAlerts(ctx),
  };
  if (!heard)
    ctx.log.info("agents have time to be heard again: no lease is taken back, no alert opened");
  const steps: Record<string, () => Promise<unknown>> = {
    schedule: () => materialiseDue(ctx),
    ...(heard && onceHeard),
    "delivery of alerts": () => deliverAlerts(ctx, { signal: soon() }),
    "disk samples": () => sampleDisks(ctx),
    "forget kept answers": () => removeOldAnswers(ctx),
    "packing of logs": () => packLogs(ctx, { seconds: longestSeconds, signal: soon() }),
    retention: () => removeOld(ctx, { seconds: longestSeconds, signal: soon() }),
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
