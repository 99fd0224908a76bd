import { and, count, eq, isNull } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Database, Transaction } from "../db/connect.ts";
import { operatorTokens, type OperatorScope } from "../db/schema.ts";
import { hashToken, newToken } from "./secrets.ts";

const ranks: Record<OperatorScope, number> = { viewer: 0, operator: 1, admin: 2 };

/** Makes an operator token; the answer is the only place where it can be read. */
export async function createOperatorToken(
  { db }: { db: Database | Transaction },
  { name, scope }: { name: string; scope: OperatorScope },
): Promise<string> {
  const token = newToken("mfo");
  await db.insert(operatorTokens).values({ name, scope, hash: hashToken(token) });
  return token;
}

/** True where no operator token was ever made. */
export async function hasNoOperatorToken({ db }: { db: Database | Transaction }): Promise<boolean> {
  const [row] = await db.select({ tokens: count() }).from(operatorTokens);
  return row?.tokens === 0;
}

/** Checks an operator's token. @throws AppError `not-authenticated`, `forbidden`. */
export async function authorizeOperator(
  { db }: { db: Database | Transaction },
  { authorization, scope }: { authorization: string | undefined; scope: OperatorScope },
): Promise<void> {
  const token = /^Bearer (mfo_[A-Za-z0-9_-]{43})$/.exec(authorization ?? "")?.[1];
  if (token === undefined) {
    throw new AppError(
      "not-authenticated",
      'needs an operator token: send "Authorization: Bearer mfo_…"',
    );
  }
  const [found] = await db
    .select({ scope: operatorTokens.scope })
    .from(operatorTokens)
    .where(and(eq(operatorTokens.hash, hashToken(token)), isNull(operatorTokens.revokedAt)));
  if (!found) throw new AppError("not-authenticated", "the operator token is unknown or revoked");
  if (ranks[found.scope] < ranks[scope]) {
    throw new AppError(
      "forbidden",
      `needs an operator token of scope "${scope}"; this one is "${found.scope}"`,
    );
  }
}
