import { and, asc, desc, eq, gte, lt, sql } from "drizzle-orm";
import { AppError } from "../../../protocol/errors.ts";
import type { Ctx } from "../../context.ts";
import { attempts, logChunks, tasks } from "../schema.ts";

/** Bytes of log that one attempt may leave here. */
const maxLogBytes = 8 * 1024 * 1024;

/**
 * Keeps what is new of one piece of an attempt's log: an agent that did not hear the answer, or has
 * started again, sends pieces that begin or end elsewhere. @throws AppError `body-too-large`, `not-found`.
 */
export async function keepLogChunk(
  { db }: Pick<Ctx, "db">,
  chunk: { taskId: string; attempt: number; position: number; bytes: Buffer },
): Promise<void> {
  if (chunk.position + chunk.bytes.length > maxLogBytes) {
    throw new AppError("body-too-large", `the log of one attempt may have ${maxLogBytes} bytes`);
  }
  await db.transaction(async (tx) => {
    const [attempt] = await tx
      .select({ attempt: attempts.attempt })
      .from(attempts)
      .where(and(eq(attempts.taskId, chunk.taskId), eq(attempts.attempt, chunk.attempt)))
      // Two pieces at once must each see what the other brought.
      .for("update");
    if (!attempt) throw new AppError("not-found", "there is no such attempt");
    const [last] = await tx
      .select({
        end: sql`${logChunks.position} + length(${logChunks.bytes})`.mapWith(Number),
      })
      .from(logChunks)
      .where(and(eq(logChunks.taskId, chunk.taskId), eq(logChunks.attempt, chunk.attempt)))
      .orderBy(desc(logChunks.position))
      .limit(1);
    const known = Math.max(0, (last?.end ?? 0) - chunk.position);
    if (known >= chunk.bytes.length) return;
    await tx.insert(logChunks).values({
      ...chunk,
      position: chunk.position + known,
      bytes: chunk.bytes.subarray(known),
    });
  });
}

/** Which attempt's log is meant, the latest where none is named, and whether more of it may come. @throws AppError `not-found`. */
export async function findLog(
  { db }: Pick<Ctx, "db">,
  { taskId, attempt }: { taskId: string; attempt: number | undefined },
): Promise<{ attempt: number; ended: boolean }> {
  const [task] = await db
    .select({ attempt: tasks.attempt, state: tasks.state })
    .from(tasks)
    .where(eq(tasks.id, taskId));
  if (!task) throw new AppError("not-found", "there is no such task");
  const wanted = attempt ?? task.attempt;
  return { attempt: wanted, ended: wanted !== task.attempt || task.state !== "leased" };
}

/** One attempt's log from a byte on. */
export async function readLog(
  { db }: Pick<Ctx, "db">,
  { taskId, attempt, offset }: { taskId: string; attempt: number; offset: number },
): Promise<Buffer> {
  const chunks = await db
    .select({ position: logChunks.position, bytes: logChunks.bytes })
    .from(logChunks)
    .where(
      and(
        eq(logChunks.taskId, taskId),
        eq(logChunks.attempt, attempt),
        gte(sql`${logChunks.position} + length(${logChunks.bytes})`, offset + 1),
        lt(logChunks.position, maxLogBytes),
      ),
    )
    .orderBy(asc(logChunks.position));
  const first = chunks[0];
  const whole = Buffer.concat(chunks.map(({ bytes }) => bytes));
  return first ? whole.subarray(Math.max(0, offset - first.position)) : whole;
}
