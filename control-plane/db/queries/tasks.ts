import { and, asc, eq, lt, sql } from "drizzle-orm";
import { AppError } from "../../../protocol/errors.ts";
import type { Task } from "../../../protocol/project.ts";
import type { Database } from "../connect.ts";
import { attempts, hosts, logChunks, projects, tasks } from "../schema.ts";

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
    state: task.state,
    attempt: task.attempt,
    maxAttempts: task.maxAttempts,
    progress: task.progress,
    result: task.result,
    queuedAt: task.queuedAt.toISOString(),
    startedAt: task.startedAt?.toISOString() ?? null,
    finishedAt: task.finishedAt?.toISOString() ?? null,
  };
}

/** One task with all its attempts. @throws AppError `not-found`. */
export async function readTask({ db }: { db: Database }, { id }: { id: string }) {
  const [found] = await db
    .select({ task: tasks, host: hosts.name, project: projects.name })
    .from(tasks)
    .innerJoin(hosts, eq(hosts.id, tasks.hostId))
    .innerJoin(projects, eq(projects.id, tasks.projectId))
    .where(eq(tasks.id, id));
  if (!found) throw new AppError("not-found", "there is no such task");
  const rows = await db
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

/** Bytes of log that one attempt may leave here. */
const maxLogBytes = 8 * 1024 * 1024;

/** Keeps one piece of an attempt's log; the same piece again changes nothing. @throws AppError `body-too-large`, `not-found`. */
export async function keepLogChunk(
  { db }: { db: Database },
  chunk: { taskId: string; attempt: number; position: number; bytes: Buffer },
): Promise<void> {
  if (chunk.position + chunk.bytes.length > maxLogBytes) {
    throw new AppError("body-too-large", `the log of one attempt may have ${maxLogBytes} bytes`);
  }
  await db.transaction(async (tx) => {
    const [attempt] = await tx
      .select({ attempt: attempts.attempt })
      .from(attempts)
      .where(and(eq(attempts.taskId, chunk.taskId), eq(attempts.attempt, chunk.attempt)));
    if (!attempt) throw new AppError("not-found", "there is no such attempt");
    await tx.insert(logChunks).values(chunk).onConflictDoNothing();
  });
}

/** The whole log of one attempt; the latest where none is named. @throws AppError `not-found`. */
export async function readLog(
  { db }: { db: Database },
  { taskId, attempt }: { taskId: string; attempt: number | undefined },
): Promise<Buffer> {
  const [task] = await db
    .select({ attempt: tasks.attempt })
    .from(tasks)
    .where(eq(tasks.id, taskId));
  if (!task) throw new AppError("not-found", "there is no such task");
  const chunks = await db
    .select({ position: logChunks.position, bytes: logChunks.bytes })
    .from(logChunks)
    .where(
      and(
        eq(logChunks.taskId, taskId),
        eq(logChunks.attempt, attempt ?? task.attempt),
        lt(logChunks.position, sql`${maxLogBytes}::bigint`),
      ),
    )
    .orderBy(asc(logChunks.position));
  return Buffer.concat(chunks.map(({ bytes }) => bytes));
}
