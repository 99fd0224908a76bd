import type { Ctx } from "../context.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import { activeRuns, insertRun, type RunRow } from "./insert-run.ts";
import { wasPulledByStandingOrder } from "./standing-work.ts";

/** What only looks must not cost an occurrence: that waits for its end. */
const isDryRun = ({ trigger }: RunRow) => trigger === "dry-run";

/** Adds the run of one occurrence; the caller holds the project's row. */
export async function addScheduledRun(
  ctx: Ctx,
  { project, scheduledFor, missed }: { project: ProjectRow; scheduledFor: Date; missed: boolean },
): Promise<void> {
  // The master may have pulled for it by itself, and said so before anybody saw that it was due.
  if (await wasPulledByStandingOrder(ctx, { projectId: project.id, scheduledFor })) return;
  const occurrence = { project, trigger: "schedule" as const, scheduledFor };
  const active = await activeRuns(ctx, { project: project.name });
  if (missed)
    await insertRun(ctx, {
      ...occurrence,
      state: "skipped",
      reason: "missed its time, and the project's misfire policy is skip",
    });
  else if (!active.running) await insertRun(ctx, { ...occurrence, state: "running" });
  else if (!active.queued && (project.overlap === "queue-one" || isDryRun(active.running)))
    await insertRun(ctx, { ...occurrence, state: "queued" });
  else
    await insertRun(ctx, {
      ...occurrence,
      state: "skipped",
      reason: "the project's run before was still pulling",
    });
}

/**
 * Accounts for the occurrences from `from` to before `until` that nobody was there for: one skipped run
 * stands for all of them. The caller holds the project's row.
 */
export async function addMissedRuns(
  ctx: Ctx,
  { project, from, until }: { project: ProjectRow; from: Date; until: Date },
): Promise<void> {
  await insertRun(ctx, {
    project,
    trigger: "schedule",
    scheduledFor: from,
    state: "skipped",
    reason: `missed, with all that were due before ${until.toISOString()}`,
  });
}
