import { and, eq, lt, sql } from "drizzle-orm";
import { z } from "zod";
import { AppError } from "../../../protocol/errors.ts";
import { decryptAtRest, encryptAtRest } from "../../auth/at-rest.ts";
import type { Ctx } from "../../context.ts";
import { idempotentAnswers } from "../schema/operators.ts";

const keptSchema = z.object({ text: z.string(), headers: z.record(z.string(), z.string()) });
type KeptAnswer = { status: number; text: string; headers: Record<string, string> };
type Place = { actor: string; key: string };

// An answer may hold a token that is shown once and stored nowhere else but as a hash.
const owner = ({ actor, key }: Place) => `answer ${actor} ${key}`;

/** Claims a key for this transaction; answers what was kept under it before. @throws AppError `conflict`. */
export async function claimAnswer(
  { db, secrets }: Pick<Ctx, "db" | "secrets">,
  { actor, key, request }: { actor: string; key: string; request: Buffer },
): Promise<KeptAnswer | undefined> {
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
  const encrypted = kept.body;
  const body = await decryptAtRest(secrets, { encrypted, owner: owner({ actor, key }) });
  return { status: kept.status, ...keptSchema.parse(JSON.parse(body)) };
}

/** Keeps the answer to a claimed key, encrypted. */
export async function keepAnswer(
  { db, secrets }: Pick<Ctx, "db" | "secrets">,
  { actor, key, status, text, headers }: Place & KeptAnswer,
): Promise<void> {
  const secret = JSON.stringify({ text, headers });
  const body = await encryptAtRest(secrets, { secret, owner: owner({ actor, key }) });
  await db
    .update(idempotentAnswers)
    .set({ status, body })
    .where(and(eq(idempotentAnswers.actor, actor), eq(idempotentAnswers.key, key)));
}

/** Forgets the answers that are older than a day. */
export async function removeOldAnswers({ db, now }: Pick<Ctx, "db" | "now">): Promise<void> {
  await db
    .delete(idempotentAnswers)
    .where(lt(idempotentAnswers.createdAt, sql`${now()} - interval '1 day'`));
}
