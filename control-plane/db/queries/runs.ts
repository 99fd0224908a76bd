import { and, asc, desc, eq, exists, gte, lt, sql } from "drizzle-orm";
import type { z } from "zod";
import { AppError } from "../../../protocol/errors.ts";
import type { Run, RunDetail, runsQuerySchema } from "../../../protocol/run.ts";
import type { Ctx } from "../../context.ts";
import { type Blanks, prepared } from "../compiled.ts";
import { hosts } from "../schema/hosts.ts";
import { projects } from "../schema/projects.ts";
import { runs } from "../schema/runs.ts";
import { tasks } from "../schema/tasks.ts";
import { after, page } from "./page.ts";
import { taskView } from "./tasks.ts";

/** A run as operators see it. */
function runView({ run, project }: { run: typeof runs.$inferSelect; project: string }): Run {
  return {
    id: run.id,
    project,
    trigger: run.trigger,
    state: run.state,
    reason: run.reason,
    scheduledFor: run.scheduledFor.toISOString(),
    startedAt: run.startedAt?.toISOString() ?? null,
    finishedAt: run.finishedAt?.toISOString() ?? null,
    generation: run.generation,
  };
}

/** A page of runs, newest first. */
export async function readRuns(
  ctx: Pick<Ctx, "db">,
  { project, host, state, trigger, since, until, limit, cursor }: z.output<typeof runsQuerySchema>,
) {
  const onHost = ctx.db
    .select({ one: sql`1` })
    .from(tasks)
    .innerJoin(hosts, eq(hosts.id, tasks.hostId))
    .where(and(eq(tasks.runId, runs.id), eq(hosts.name, host ?? "")));
  const rows = await ctx.db
    .select({ run: runs, project: projects.name })
    .from(runs)
    .innerJoin(projects, eq(projects.id, runs.projectId))
    .where(
      and(
        project === undefined ? undefined : eq(projects.name, project),
        host === undefined ? undefined : exists(onHost),
        state === undefined ? undefined : eq(runs.state, state),
        trigger === undefined ? undefined : eq(runs.trigger, trigger),
        since === undefined ? undefined : gte(runs.createdAt, new Date(since)),
        until === undefined ? undefined : lt(runs.createdAt, new Date(until)),
        after({ cursor, columns: [runs.createdAt, runs.id], descending: true }),
      ),
    )
    .orderBy(desc(runs.createdAt), desc(runs.id))
    .limit(limit + 1);
  return page({
    rows,
    limit,
    key: ({ run }) => [run.createdAt.toISOString(), run.id],
    view: runView,
  });
}

// One statement: the tasks are as they were when the run was as it is said to be.
const runAndTasks = prepared(({ db }, { id }: Blanks<{ id: string }>) =>
  db
    .select({ run: runs, project: projects.name, task: tasks, host: hosts.name })
    .from(runs)
    .innerJoin(projects, eq(projects.id, runs.projectId))
    .leftJoin(tasks, eq(tasks.runId, runs.id))
    .leftJoin(hosts, eq(hosts.id, tasks.hostId))
    .where(eq(runs.id, id))
    .orderBy(desc(tasks.role), asc(hosts.name))
    .prepare("run and tasks"),
);

/** One run with its tasks. @throws AppError `not-found`. */
export async function readRun(ctx: Pick<Ctx, "db">, { id }: { id: string }): Promise<RunDetail> {
  const rows = await runAndTasks(ctx, { id }).execute();
  const [found] = rows;
  if (!found) throw new AppError("not-found", "there is no such run");
  return {
    ...runView(found),
    tasks: rows.flatMap(({ task, host, project }) =>
      task && host ? [taskView({ task, host, project })] : [],
    ),
  };
}
