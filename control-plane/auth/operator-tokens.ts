import { and, count, desc, eq, isNull, lt, or, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import { type OperatorToken, type TokenScope, triggerScope } from "../../protocol/token.ts";
import type { Ctx } from "../context.ts";
import { type Blanks, prepared } from "../db/compiled.ts";
import { operatorTokens } from "../db/schema/operators.ts";
import type { Actor } from "./actor.ts";
import { hashToken, newToken } from "./secrets.ts";

/** Makes an operator token; the answer is the only place where it can be read. */
export async function createOperatorToken(
  { db }: Pick<Ctx, "db">,
  { name, scope, expiresAt = null }: { name: string; scope: TokenScope; expiresAt?: Date | null },
): Promise<{ token: string; info: OperatorToken }> {
  const token = newToken("mfo");
  const [row] = await db
    .insert(operatorTokens)
    .values({ name, scope, expiresAt, hash: hashToken(token) })
    .returning();
  return { token, info: tokenView(row!) };
}

function tokenView(row: typeof operatorTokens.$inferSelect): OperatorToken {
  const { id, name, scope } = row;
  const iso = (date: Date | null) => date?.toISOString() ?? null;
  return {
    id,
    name,
    scope,
    createdAt: row.createdAt.toISOString(),
    expiresAt: iso(row.expiresAt),
    lastUsedAt: iso(row.lastUsedAt),
    revokedAt: iso(row.revokedAt),
  };
}

/** All operator tokens, newest first, without what makes them work. */
export async function readOperatorTokens({ db }: Pick<Ctx, "db">): Promise<OperatorToken[]> {
  const rows = await db.select().from(operatorTokens).orderBy(desc(operatorTokens.createdAt));
  return rows.map(tokenView);
}

/** Ends a token's authority. @throws AppError `not-found`, `conflict` for the last admin token. */
export async function revokeOperatorToken(
  { db, now }: Pick<Ctx, "db" | "now">,
  { id }: { id: string },
): Promise<{ before: OperatorToken; after: OperatorToken }> {
  // Two revocations at once must not each spare the other's token.
  await db.execute(sql`lock table ${operatorTokens} in share row exclusive mode`);
  const valid = and(
    isNull(operatorTokens.revokedAt),
    or(isNull(operatorTokens.expiresAt), sql`${operatorTokens.expiresAt} > ${now()}`),
  );
  const [row] = await db.select().from(operatorTokens).where(eq(operatorTokens.id, id));
  if (!row) throw new AppError("not-found", "there is no such operator token");
  if (row.revokedAt) return { before: tokenView(row), after: tokenView(row) };
  const [others] = await db
    .select({ tokens: count() })
    .from(operatorTokens)
    .where(and(valid, eq(operatorTokens.scope, "admin"), sql`${operatorTokens.id} <> ${id}`));
  if (row.scope === "admin" && others?.tokens === 0)
    throw new AppError(
      "conflict",
      "this is the last admin token: make another first, or nobody could make one again",
    );
  const [revoked] = await db
    .update(operatorTokens)
    .set({ revokedAt: sql`${now()}` })
    .where(eq(operatorTokens.id, id))
    .returning();
  return { before: tokenView(row), after: tokenView(revoked!) };
}

/** Ends the tokens that may trigger a project alone: another of its name is not theirs. */
export async function endTriggerTokens(
  { db, now }: Pick<Ctx, "db" | "now">,
  { project }: { project: string },
): Promise<void> {
  await db
    .update(operatorTokens)
    .set({ revokedAt: sql`${now()}` })
    .where(and(eq(operatorTokens.scope, triggerScope(project)), isNull(operatorTokens.revokedAt)));
}

/** True where no operator token was ever made. */
export async function hasNoOperatorToken({ db }: Pick<Ctx, "db">): Promise<boolean> {
  const [row] = await db.select({ tokens: count() }).from(operatorTokens);
  return row?.tokens === 0;
}

async function noteUse({ db, now }: Pick<Ctx, "db" | "now">, { id }: { id: string }) {
  // To the minute: a busy token must not cost a write for each request.
  await db
    .update(operatorTokens)
    .set({ lastUsedAt: sql`date_trunc('minute', ${now()})` })
    .where(
      and(
        eq(operatorTokens.id, id),
        or(
          isNull(operatorTokens.lastUsedAt),
          lt(operatorTokens.lastUsedAt, sql`date_trunc('minute', ${now()})`),
        ),
      ),
    );
}

const tokenByHash = prepared(({ db, now }, { hash }: Blanks<{ hash: Buffer }>) =>
  db
    .select({
      id: operatorTokens.id,
      name: operatorTokens.name,
      scope: operatorTokens.scope,
      expired: sql<boolean>`coalesce(${operatorTokens.expiresAt} <= ${now()}, false)`,
      used: sql<boolean>`coalesce(${operatorTokens.lastUsedAt} >= date_trunc('minute', ${now()}), false)`,
    })
    .from(operatorTokens)
    .where(and(eq(operatorTokens.hash, hash), isNull(operatorTokens.revokedAt)))
    .prepare("operator token"),
);

/** Finds whose operator token this is. @throws AppError `not-authenticated`. */
export async function authenticateOperator(
  ctx: Pick<Ctx, "db" | "now">,
  { token }: { token: string },
): Promise<Actor> {
  const [found] = await tokenByHash(ctx, { hash: hashToken(token) }).execute();
  if (!found) throw new AppError("not-authenticated", "the operator token is unknown or revoked");
  if (found.expired) throw new AppError("not-authenticated", "the operator token has expired");
  if (!found.used) await noteUse(ctx, found);
  return { id: found.id, name: found.name, scope: found.scope };
}
