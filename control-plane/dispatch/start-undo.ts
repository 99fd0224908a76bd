import { and, eq } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Ctx } from "../context.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import { hosts } from "../db/schema/hosts.ts";
import { replicas } from "../db/schema/replicas.ts";
import {
  activeRuns,
  checkFleetNotPaused,
  insertRun,
  isHostedHere,
  type RunRow,
} from "./insert-run.ts";

/** @throws AppError `conflict` where the master's agent has said that it keeps nothing of what it deletes. */
async function checkKeepsDeleted(ctx: Ctx, { id, name }: ProjectRow): Promise<void> {
  const [master] = await ctx.db
    .select({ host: hosts.name, facts: hosts.facts })
    .from(replicas)
    .innerJoin(hosts, eq(hosts.id, replicas.hostId))
    .where(and(eq(replicas.projectId, id), eq(replicas.role, "master")));
  if (master?.facts?.quarantineDays === 0)
    throw new AppError(
      "conflict",
      `nothing of ${name} can be brought back: ${master.host} keeps no deleted files, because MIRRORFLEET_QUARANTINES is not set there`,
    );
}

/**
 * Starts a run that brings back what the last deletions on the master took. The caller holds the
 * project's row. @throws AppError `conflict` where it is hosted here, pulls, or the fleet is paused, or
 * where the master keeps nothing of what it deletes.
 */
export async function startUndo(ctx: Ctx, { project }: { project: ProjectRow }): Promise<RunRow> {
  if (isHostedHere(project))
    throw new AppError(
      "conflict",
      `project ${project.name} is hosted here: what its people delete on the master is theirs to bring back`,
    );
  await checkFleetNotPaused(ctx);
  await checkKeepsDeleted(ctx, project);
  const { running } = await activeRuns(ctx, { project: project.name });
  if (running)
    throw new AppError("conflict", `run ${running.id} of the project pulls: cancel it first`);
  const run = await insertRun(ctx, {
    project,
    trigger: "undo",
    scheduledFor: null,
    state: "running",
  });
  return run!;
}
