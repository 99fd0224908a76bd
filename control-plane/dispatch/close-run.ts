import { and, eq, inArray, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { countRun } from "../db/queries/totals.ts";
import { hosts, runs, tasks } from "../db/schema.ts";

/** Closes a run whose last task is done: `succeeded` when all of them were, else with a reason. Returns it when closed. */
export async function closeRunIfDone(
  ctx: Ctx,
  { runId, reason }: { runId: string; reason?: string },
): Promise<typeof runs.$inferSelect | undefined> {
  const rows = await ctx.db
    .select({ state: tasks.state, host: hosts.name })
    .from(tasks)
    .innerJoin(hosts, eq(hosts.id, tasks.hostId))
    .where(eq(tasks.runId, runId));
  if (rows.some(({ state }) => state === "queued" || state === "leased")) return undefined;
  const failed = rows
    .filter(({ state }) => state === "failed" || state === "lost")
    .map(({ host }) => host);
  const cancelled = rows.filter(({ state }) => state === "cancelled").map(({ host }) => host);
  const why =
    failed.length > 0
      ? `failed on ${failed.join(", ")}`
      : (reason ?? (cancelled.length > 0 ? `cancelled on ${cancelled.join(", ")}` : null));
  const [closed] = await ctx.db
    .update(runs)
    .set({
      state: failed.length > 0 ? "failed" : cancelled.length > 0 ? "cancelled" : "succeeded",
      reason: why,
      finishedAt: sql`${ctx.now()}`,
    })
    .where(and(eq(runs.id, runId), inArray(runs.state, ["running", "distributing"])))
    .returning();
  // What only looked is no sync that succeeded or failed.
  if (closed && closed.trigger !== "dry-run") await countRun(ctx, closed);
  return closed;
}
