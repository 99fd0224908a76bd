import { createHash } from "node:crypto";
import type { Context } from "hono";
import { AppError } from "../../protocol/errors.ts";
import type { Actor } from "../auth/actor.ts";
import type { Ctx } from "../context.ts";
import { claimAnswer, keepAnswer } from "../db/queries/idempotent-answers.ts";

type Answer = { status: number; text: string; headers: Record<string, string> };

function keyOf(c: Context): string | undefined {
  const key = c.req.header("idempotency-key");
  if (key !== undefined && !/^[\x21-\x7e]{1,200}$/.test(key))
    throw new AppError(
      "invalid-input",
      "Idempotency-Key must be 1 to 200 printable characters without spaces",
      { fields: [{ field: "Idempotency-Key", message: "must be 1 to 200 printable characters" }] },
    );
  return key;
}

async function fingerprint(c: Context): Promise<Buffer> {
  const { pathname, search } = new URL(c.req.url);
  return createHash("sha256")
    .update(`${c.req.method} ${pathname}${search}\n`)
    .update(await c.req.text())
    .digest();
}

type Change = (inner: Ctx) => Promise<{ answering: Promise<Answer> }>;

/** The commit is sent behind the statements that the answer is read by, and not after them. */
async function answerNow(ctx: Ctx, change: Change): Promise<Answer> {
  let answering: Promise<Answer> | undefined;
  try {
    await ctx.db.transaction(async (tx) => {
      ({ answering } = await change({ ...ctx, db: tx }));
    });
  } catch (error) {
    // Why it was undone says more than that it was.
    await answering;
    throw error;
  }
  return answering!;
}

/**
 * Does a change in one transaction, and answers when that is committed. With an `Idempotency-Key`, the same request sent again within a day gets the first answer and changes nothing; two at once
 * wait for each other.
 * @throws AppError `conflict` where the key came with another request.
 */
export async function answerOnce(
  ctx: Ctx,
  c: Context,
  { actor }: { actor: Actor },
  change: Change,
): Promise<Answer> {
  const key = keyOf(c);
  const request = key === undefined ? undefined : await fingerprint(c);
  if (key === undefined || request === undefined) return answerNow(ctx, change);
  return ctx.db.transaction(async (tx): Promise<Answer> => {
    const inner = { ...ctx, db: tx };
    const kept = await claimAnswer(inner, { actor: actor.id, key, request });
    if (kept) return kept;
    const answer = await (await change(inner)).answering;
    await keepAnswer(inner, { actor: actor.id, key, ...answer });
    return answer;
  });
}
