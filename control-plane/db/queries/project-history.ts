import { and, asc, desc, eq, inArray, sql } from "drizzle-orm";
import type { RunDetail } from "../../../protocol/run.ts";
import type { Ctx } from "../../context.ts";
import { hosts } from "../schema/hosts.ts";
import { projects } from "../schema/projects.ts";
import { tasks } from "../schema/tasks.ts";
import { readRuns } from "./runs.ts";
import { taskView } from "./tasks.ts";

/** A project's latest runs with their tasks, newest first. */
export async function readRunsWithTasks(
  ctx: Pick<Ctx, "db">,
  { project, limit }: { project: string; limit: number },
): Promise<RunDetail[]> {
  const { items } = await readRuns(ctx, { project, limit });
  if (items.length === 0) return [];
  const rows = await ctx.db
    .select({ task: tasks, host: hosts.name })
    .from(tasks)
    .innerJoin(hosts, eq(hosts.id, tasks.hostId))
    .where(
      inArray(
        tasks.runId,
        items.map(({ id }) => id),
      ),
    )
    .orderBy(desc(tasks.role), asc(hosts.name));
  const byRun = Map.groupBy(
    rows.map(({ task, host }) => taskView({ task, host, project })),
    ({ runId }) => runId,
  );
  return items.map((run) => Object.assign(run, { tasks: byRun.get(run.id) ?? [] }));
}

/** What a pull from the upstream took and found. */
export type Pull = {
  at: number;
  seconds: number;
  receivedBytes: number;
  files: number;
  totalBytes: number;
};

/** A project's latest pulls that succeeded and counted the tree, oldest first. */
export async function readPulls(
  { db }: Pick<Ctx, "db">,
  { project, limit }: { project: string; limit: number },
): Promise<Pull[]> {
  const stat = (name: string) =>
    sql<number>`(${tasks.result} -> 'stats' ->> ${name})::float8`.mapWith(Number);
  const rows = await db
    .select({
      at: sql`extract(epoch from ${tasks.finishedAt})`.mapWith(Number),
      seconds: sql`(${tasks.result} ->> 'seconds')::float8`.mapWith(Number),
      receivedBytes: stat("receivedBytes"),
      files: stat("files"),
      totalBytes: stat("totalBytes"),
    })
    .from(tasks)
    .innerJoin(projects, eq(projects.id, tasks.projectId))
    .where(
      and(
        eq(projects.name, project),
        eq(tasks.role, "master"),
        eq(tasks.state, "succeeded"),
        sql`${tasks.result} -> 'stats' ->> 'files' is not null`,
      ),
    )
    .orderBy(desc(tasks.queuedAt))
    .limit(limit);
  return rows.toReversed();
}

/** The latest task of one host for a project; null where it never had one. */
export async function latestTaskId(
  { db }: Pick<Ctx, "db">,
  { project, host }: { project: string; host: string },
): Promise<string | null> {
  const [row] = await db
    .select({ id: tasks.id })
    .from(tasks)
    .innerJoin(projects, eq(projects.id, tasks.projectId))
    .innerJoin(hosts, eq(hosts.id, tasks.hostId))
    .where(and(eq(projects.name, project), eq(hosts.name, host), eq(tasks.dryRun, false)))
    .orderBy(desc(tasks.queuedAt))
    .limit(1);
  return row?.id ?? null;
}
