import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { and, eq, isNull, sql } from "drizzle-orm";
import type { Ctx } from "../../context.ts";
import { logChunks } from "../schema/tasks.ts";

const pack = promisify(gzip);

/** Bytes of log that are packed together: a reader of a few bytes unpacks so many. Larger ones gain 1 %. */
const blockBytes = 256 * 1024;

/** Pieces of an attempt that has ended may still come: of a superseded one, or by a standing order. */
const restSeconds = 60;

type Attempt = { taskId: string; attempt: number };
type Chunk = { position: number; bytes: Buffer; createdAt: Date };

/** Where attempts begin to be looked at. */
export const firstAttempt: Attempt = {
  taskId: "00000000-0000-0000-0000-000000000000",
  attempt: 0,
};

/**
 * The next `limit` attempts after a place of which some log is not packed, and whether it may be: it ended
 * a while ago. One look at the index finds each, however many pieces those have that still run.
 */
export async function unpackedLogs(
  { db, now }: Pick<Ctx, "db" | "now">,
  { after, limit }: { after: Attempt; limit: number },
): Promise<(Attempt & { ended: boolean })[]> {
  const { rows } = await db.execute<{ task_id: string; attempt: number; ended: boolean }>(sql`
    with recursive unpacked(task_id, attempt, number) as (
      select ${after.taskId}::uuid, ${after.attempt}::int, 0
      union all
      select n.task_id, n.attempt, u.number + 1 from unpacked u cross join lateral (
        select task_id, attempt from log_chunks
        where packed_bytes is null and (task_id, attempt) > (u.task_id, u.attempt)
        order by task_id, attempt limit 1) n
      where u.number < ${limit})
    select u.task_id, u.attempt,
      coalesce(a.finished_at < ${now()} - ${restSeconds} * interval '1 second', false) ended
    from unpacked u join attempts a on a.task_id = u.task_id and a.attempt = u.attempt
    where u.number > 0 order by u.number`);
  return rows.map((row) => ({ taskId: row.task_id, attempt: row.attempt, ended: row.ended }));
}

/** Pieces that follow on each other, together up to the size of a block. */
function blocksOf(chunks: Chunk[]): Chunk[][] {
  const blocks: Chunk[][] = [];
  let [size, end] = [0, -1];
  for (const chunk of chunks) {
    const { position, bytes } = chunk;
    const goesOn = position === end && size + bytes.length <= blockBytes;
    if (goesOn) blocks.at(-1)!.push(chunk);
    else blocks.push([chunk]);
    size = goesOn ? size + bytes.length : bytes.length;
    end = position + bytes.length;
  }
  return blocks;
}

/**
 * Packs what one attempt's log has in pieces: the same bytes at the same offsets, in fewer rows. A log that
 * somebody else is at is left for later. Answers whether it was packed.
 */
export async function packLog(
  { db }: Pick<Ctx, "db">,
  { taskId, attempt }: Attempt,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    // The task first, as whoever removes its run does; then what keepLogChunk locks.
    const { rows } = await tx.execute(sql`
      select from tasks t join attempts a on a.task_id = t.id and a.attempt = ${attempt}
      where t.id = ${taskId} for key share of t skip locked for update of a skip locked`);
    if (rows.length === 0) return false;
    const ofAttempt = and(
      eq(logChunks.taskId, taskId),
      eq(logChunks.attempt, attempt),
      isNull(logChunks.packedBytes),
    );
    const chunks = await tx.delete(logChunks).where(ofAttempt).returning({
      position: logChunks.position,
      bytes: logChunks.bytes,
      createdAt: logChunks.createdAt,
    });
    chunks.sort((one, other) => one.position - other.position);
    for (const block of blocksOf(chunks)) {
      const bytes = Buffer.concat(block.map((chunk) => chunk.bytes));
      await tx.insert(logChunks).values({
        taskId,
        attempt,
        position: block[0]!.position,
        bytes: await pack(bytes),
        packedBytes: bytes.length,
        // Retention goes by the oldest of a log first.
        createdAt: block[0]!.createdAt,
      });
    }
    return chunks.length > 0;
  });
}
