import { and, asc, eq, lt, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { tasks } from "../db/schema/tasks.ts";
import { expireAttempt } from "./finish.ts";

/** Takes back the leases that have run out: next attempt, or failed after the last. Returns their number. */
export async function reclaimExpired(ctx: Ctx): Promise<number> {
  const expired = await ctx.db
    .select({ taskId: tasks.id, attempt: tasks.attempt })
    .from(tasks)
    .where(and(eq(tasks.state, "leased"), lt(tasks.leaseUntil, sql`${ctx.now()}`)))
    .orderBy(asc(tasks.leaseUntil))
    .limit(100);
  for (const lease of expired) {
    await expireAttempt(ctx, lease);
    ctx.log.warn(lease, "lease ran out: no heartbeat from the agent");
  }
  return expired.length;
}
