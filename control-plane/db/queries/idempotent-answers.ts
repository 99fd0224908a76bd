import { and, eq, lt, sql } from "drizzle-orm";
import { AppError } from "../../../protocol/errors.ts";
import type { Ctx } from "../../context.ts";
import { idempotentAnswers } from "../schema.ts";

/** Claims a key for this transaction; answers what was kept under it before. @throws AppError `conflict`. */
export async function claimAnswer(
  { db }: Pick<Ctx, "db">,
  { actor, key, request }: { actor: string; key: string; request: Buffer },
): Promise<{ status: number; text: string } | undefined> {
  // A second request with the key waits here until the first has committed or failed.
  const [claimed] = await db
    .insert(idempotentAnswers)
    .values({ actor, key, request })
    .onConflictDoNothing()
    .returning();
  if (claimed) return undefined;
  const [kept] = await db
    .select()
    .from(idempotentAnswers)
    .where(and(eq(idempotentAnswers.actor, actor), eq(idempotentAnswers.key, key)));
  if (!kept?.request.equals(request))
    throw new AppError("conflict", "this Idempotency-Key came with another request before");
  return { status: kept.status, text: kept.body };
}

/** Keeps the answer to a claimed key. */
export async function keepAnswer(
  { db }: Pick<Ctx, "db">,
  { actor, key, status, text }: { actor: string; key: string; status: number; text: string },
): Promise<void> {
  await db
    .update(idempotentAnswers)
    .set({ status, body: text })
    .where(and(eq(idempotentAnswers.actor, actor), eq(idempotentAnswers.key, key)));
}

/** Forgets the answers that are older than a day. */
export async function removeOldAnswers({ db, now }: Pick<Ctx, "db" | "now">): Promise<void> {
  await db
    .delete(idempotentAnswers)
    .where(lt(idempotentAnswers.createdAt, sql`${now()} - interval '1 day'`));
}
