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

/**
 * Does a change in one transaction; without a key its answer may be on the way when the commit is sent. With an
 * `Idempotency-Key`, the same request sent again within a day gets the first answer and changes nothing; two at once
 * wait for each other.
 * @throws AppError `conflict` where the key came with another request.
 */
export async function answerOnce(
  ctx: Ctx,
  c: Context,
  { actor }: { actor: Actor },
  change: (inner: Ctx) => Promise<{ answering: Promise<Answer> }>,
): Promise<Answer> {
  const key = keyOf(c);
  const request = key === undefined ? undefined : await fingerprint(c);
  if (key === undefined || request === undefined) {
    const { answering } = await ctx.db.transaction((tx) => change({ ...ctx, db: tx }));
    return answering;
  }
  return ctx.db.transaction(async (tx): Promise<Answer> => {
    const inner = { ...ctx, db: tx };
    const kept = await claimAnswer(inner, { actor: actor.id, key, request });
    if (kept) return kept;
    const answer = await (await change(inner)).answering;
    await keepAnswer(inner, { actor: actor.id, key, ...answer });
    return answer;
  });
}
