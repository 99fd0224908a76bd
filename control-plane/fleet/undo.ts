import type { Ctx } from "../context.ts";
import { lockProject } from "../db/queries/projects.ts";
import { startUndo } from "../dispatch/start-undo.ts";
import { pauseProject } from "./pauses.ts";

/**
 * Brings back what the last deletions on the master took. The project is paused, or its next pull would
 * delete the same again. Answers the run. @throws AppError `not-found`, `conflict`.
 */
export async function undoProject(ctx: Ctx, { name }: { name: string }): Promise<string> {
  await pauseProject(ctx, { name, paused: true });
  const project = await lockProject(ctx.db, { name });
  const { id } = await startUndo(ctx, { project });
  return id;
}
