import type { Ctx } from "./context.ts";
import {
  firstRun,
  removeOldAlerts,
  removeOldAuditEvents,
  removeOldMessages,
  removeOldLogs,
  removeOldRuns,
} from "./db/queries/retention.ts";
import { readSettings } from "./db/queries/settings.ts";

/** Rows of one transaction: it takes well below a second, however much there is to remove. */
const batches = { runs: 50, logs: 500, audit: 1000, alerts: 500 };

/**
 * Removes what has been kept for as long as the settings say: runs with their tasks and attempts, alerts, logs,
 * audit events; in small transactions, until all is gone, `signal`, or `seconds` have passed. Any number
 * of replicas may do this at once, and one that is killed leaves each run whole or gone. Answers how many.
 */
export async function removeOld(
  ctx: Pick<Ctx, "db" | "now">,
  { seconds, signal }: { seconds: number; signal: AbortSignal },
): Promise<{ runs: number; logs: number; audit: number; alerts: number }> {
  const { keepRunsDays, keepLogsDays, keepAuditDays } = await readSettings(ctx);
  const end = performance.now() + seconds * 1000;
  const goesOn = () => !signal.aborted && performance.now() < end;
  const removed = { runs: 0, logs: 0, audit: 0, alerts: 0 };
  const untilFew = async (limit: number, remove: () => Promise<number>) => {
    let all = 0;
    for (let some = limit; some === limit && goesOn(); all += some) some = await remove();
    return all;
  };
  if (keepLogsDays !== null) {
    const batch = { days: keepLogsDays, limit: batches.logs };
    removed.logs = await untilFew(batch.limit, () => removeOldLogs(ctx, batch));
  }
  if (keepAuditDays !== null) {
    const batch = { days: keepAuditDays, limit: batches.audit };
    removed.audit = await untilFew(batch.limit, () => removeOldAuditEvents(ctx, batch));
  }
  const { alerts: limit } = batches;
  await untilFew(limit, () => removeOldMessages(ctx, { limit }));
  if (keepRunsDays === null) return removed;
  const old = { days: keepRunsDays, limit };
  removed.alerts = await untilFew(limit, () => removeOldAlerts(ctx, old));
  for (let after: typeof firstRun | null = firstRun; after && goesOn();) {
    const batch = { days: keepRunsDays, limit: batches.runs, after };
    const done = await removeOldRuns(ctx, batch);
    removed.runs += done.removed;
    after = done.next;
  }
  return removed;
}
