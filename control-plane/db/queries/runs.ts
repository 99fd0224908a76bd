import { and, asc, desc, eq } from "drizzle-orm";
import { AppError } from "../../../protocol/errors.ts";
import type { Run, RunDetail } from "../../../protocol/project.ts";
import type { Database } from "../connect.ts";
import { hosts, projects, runs, tasks } from "../schema.ts";
import { taskView } from "./tasks.ts";

/** A run as operators see it. */
export function runView({ run, project }: { run: typeof runs.$inferSelect; project: string }): Run {
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

/** The latest runs, newest first; of one project where it is named. */
export async function readRuns(
  { db }: { db: Database },
  { project, limit }: { project: string | undefined; limit: number },
): Promise<Run[]> {
  const rows = await db
    .select({ run: runs, project: projects.name })
    .from(runs)
    .innerJoin(projects, eq(projects.id, runs.projectId))
    .where(project === undefined ? undefined : eq(projects.name, project))
    .orderBy(desc(runs.createdAt), desc(runs.id))
    .limit(limit);
  return rows.map(runView);
}

/** One run with its tasks. @throws AppError `not-found`. */
export async function readRun(
  { db }: { db: Database },
  { id }: { id: string },
): Promise<RunDetail> {
  const [found] = await db
    .select({ run: runs, project: projects.name })
    .from(runs)
    .innerJoin(projects, eq(projects.id, runs.projectId))
    .where(and(eq(runs.id, id)));
  if (!found) throw new AppError("not-found", "there is no such run");
  const rows = await db
    .select({ task: tasks, host: hosts.name })
    .from(tasks)
    .innerJoin(hosts, eq(hosts.id, tasks.hostId))
    .where(eq(tasks.runId, id))
    .orderBy(desc(tasks.role), asc(hosts.name));
  return {
    ...runView(found),
    tasks: rows.map(({ task, host }) => taskView({ task, host, project: found.project })),
  };
}
