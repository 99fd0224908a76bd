import { and, asc, desc, eq, gte, lt } from "drizzle-orm";
import type { z } from "zod";
import { AppError } from "../../../protocol/errors.ts";
import type { Task, TaskDetail, tasksQuerySchema } from "../../../protocol/run.ts";
import type { Ctx } from "../../context.ts";
import { hosts } from "../schema/hosts.ts";
import { projects } from "../schema/projects.ts";
import { attempts, tasks } from "../schema/tasks.ts";
import { after, page } from "./page.ts";

/** A task as operators see it. */
export function taskView({
  task,
  host,
  project,
}: {
  task: typeof tasks.$inferSelect;
  host: string;
  project: string;
}): Task {
  return {
    id: task.id,
    runId: task.runId,
    project,
    host,
    role: task.role,
    dryRun: task.dryRun,
    state: task.state,
    cancelRequested: task.cancelRequestedAt !== null,
    attempt: task.attempt,
    maxAttempts: task.maxAttempts,
    progress: task.progress,
    result: task.result,
    dismissedAt: task.dismissedAt?.toISOString() ?? null,
    queuedAt: task.queuedAt.toISOString(),
    startedAt: task.startedAt?.toISOString() ?? null,
    finishedAt: task.finishedAt?.toISOString() ?? null,
  };
}

const select = ({ db }: Pick<Ctx, "db">) =>
  db
    .select({ task: tasks, host: hosts.name, project: projects.name })
    .from(tasks)
    .innerJoin(hosts, eq(hosts.id, tasks.hostId))
    .innerJoin(projects, eq(projects.id, tasks.projectId));

/** A page of tasks, newest first. */
export async function readTasks(
  ctx: Pick<Ctx, "db">,
  { project, host, run, state, since, until, limit, cursor }: z.output<typeof tasksQuerySchema>,
) {
  const rows = await select(ctx)
    .where(
      and(
        project === undefined ? undefined : eq(projects.name, project),
        host === undefined ? undefined : eq(hosts.name, host),
        run === undefined ? undefined : eq(tasks.runId, run),
        state === undefined ? undefined : eq(tasks.state, state),
        since === undefined ? undefined : gte(tasks.queuedAt, new Date(since)),
        until === undefined ? undefined : lt(tasks.queuedAt, new Date(until)),
        after({ cursor, columns: [tasks.queuedAt, tasks.id], descending: true }),
      ),
    )
    .orderBy(desc(tasks.queuedAt), desc(tasks.id))
    .limit(limit + 1);
  return page({
    rows,
    limit,
    key: ({ task }) => [task.queuedAt.toISOString(), task.id],
    view: taskView,
  });
}

/** One task with all its attempts. @throws AppError `not-found`. */
export async function readTask(ctx: Pick<Ctx, "db">, { id }: { id: string }): Promise<TaskDetail> {
  const [found] = await select(ctx).where(eq(tasks.id, id));
  if (!found) throw new AppError("not-found", "there is no such task");
  const rows = await ctx.db
    .select()
    .from(attempts)
    .where(eq(attempts.taskId, id))
    .orderBy(asc(attempts.attempt));
  return {
    ...taskView(found),
    attempts: rows.map(({ attempt, state, result, startedAt, finishedAt }) => ({
      attempt,
      state,
      result,
      startedAt: startedAt.toISOString(),
      finishedAt: finishedAt?.toISOString() ?? null,
    })),
  };
}
