import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { and, asc, desc, eq, gte, lt, sql } from "drizzle-orm";
import { AppError } from "../../../protocol/errors.ts";
import type { LogAnswer } from "../../../protocol/report.ts";
import type { Ctx } from "../../context.ts";
import { attempts, logChunks, tasks } from "../schema/tasks.ts";

const unpack = promisify(gunzip);

/** Bytes of log that one attempt may leave here. */
const maxLogBytes = 8 * 1024 * 1024;

const length = sql`coalesce(${logChunks.packedBytes}, length(${logChunks.bytes}))`;

/** Bytes of one attempt's log so far. */
export async function logLength(
  { db }: Pick<Ctx, "db">,
  { taskId, attempt }: { taskId: string; attempt: number },
): Promise<number> {
  const [last] = await db
    .select({ end: sql`${logChunks.position} + ${length}`.mapWith(Number) })
    .from(logChunks)
    .where(and(eq(logChunks.taskId, taskId), eq(logChunks.attempt, attempt)))
    .orderBy(desc(logChunks.position))
    .limit(1);
  return last?.end ?? 0;
}

/**
 * Keeps what is new of a piece of an attempt's log. The log has no holes: a piece that begins beyond
 * its end is not kept, and the answer says where to begin. @throws AppError `body-too-large`, `not-found`.
 */
export async function keepLogChunk(
  { db }: Pick<Ctx, "db">,
  {
    taskId,
    attempt,
    position,
    bytes,
  }: { taskId: string; attempt: number; position: number; bytes: Buffer },
): Promise<LogAnswer> {
  if (position + bytes.length > maxLogBytes) {
    throw new AppError("body-too-large", `the log of one attempt may have ${maxLogBytes} bytes`);
  }
  return db.transaction(async (tx) => {
    // Locked: the same piece may come twice at once, from before and after a time-out.
    const [owner] = await tx
      .select({ current: tasks.attempt, cancelRequestedAt: tasks.cancelRequestedAt })
      .from(attempts)
      .innerJoin(tasks, eq(tasks.id, attempts.taskId))
      .where(and(eq(attempts.taskId, taskId), eq(attempts.attempt, attempt)))
      .for("update", { of: attempts });
    if (!owner) throw new AppError("not-found", "there is no such attempt");
    const end = await logLength({ db: tx }, { taskId, attempt });
    const fresh = position > end ? Buffer.alloc(0) : bytes.subarray(end - position);
    if (fresh.length > 0)
      await tx.insert(logChunks).values({ taskId, attempt, position: end, bytes: fresh });
    const cancel = owner.current === attempt && owner.cancelRequestedAt !== null;
    return { nextOffset: end + fresh.length, cancel };
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

/** One attempt's log from a byte on, to before another. */
export async function readLog(
  { db }: Pick<Ctx, "db">,
  {
    taskId,
    attempt,
    offset,
    end = maxLogBytes,
  }: { taskId: string; attempt: number; offset: number; end?: number },
): Promise<Buffer> {
  const chunks = await db
    .select({
      position: logChunks.position,
      bytes: logChunks.bytes,
      packedBytes: logChunks.packedBytes,
    })
    .from(logChunks)
    .where(
      and(
        eq(logChunks.taskId, taskId),
        eq(logChunks.attempt, attempt),
        gte(sql`${logChunks.position} + ${length}`, offset + 1),
        lt(logChunks.position, end),
      ),
    )
    .orderBy(asc(logChunks.position));
  const pieces: Buffer[] = [];
  // One after the other: all at once they would keep every thread of the process busy.
  for (const { position, bytes, packedBytes } of chunks) {
    const plain = packedBytes === null ? bytes : await unpack(bytes);
    pieces.push(plain.subarray(Math.max(0, offset - position), Math.max(0, end - position)));
  }
  return Buffer.concat(pieces);
}
