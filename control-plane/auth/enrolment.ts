import { and, eq, gt, isNull, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { EnrolAnswer, SealingKey, SigningKey } from "../../protocol/fleet.ts";
import type { Ctx } from "../context.ts";
import { enrolmentTokens, hosts } from "../db/schema.ts";
import { hashToken, newToken } from "./secrets.ts";
import { pinnedKeys } from "./task-keys.ts";

/** Ends a host's enrolment tokens that were not used yet; answers how many there were. */
export async function endEnrolmentTokens(
  { db }: Pick<Ctx, "db">,
  { hostId }: { hostId: string },
): Promise<number> {
  const ended = await db
    .delete(enrolmentTokens)
    .where(and(eq(enrolmentTokens.hostId, hostId), isNull(enrolmentTokens.usedAt)))
    .returning({ id: enrolmentTokens.id });
  return ended.length;
}

/** Makes an enrolment token that lasts one hour; older ones of the host end. */
export async function createEnrolmentToken(ctx: Ctx, { hostId }: { hostId: string }) {
  const token = newToken("mfe");
  await endEnrolmentTokens(ctx, { hostId });
  const [row] = await ctx.db
    .insert(enrolmentTokens)
    .values({ hostId, hash: hashToken(token), expiresAt: sql`${ctx.now()} + interval '1 hour'` })
    .returning({ expiresAt: enrolmentTokens.expiresAt });
  return { token, expiresAt: row!.expiresAt.toISOString() };
}

/** Uses an enrolment token up and stores the agent's keys, in one transaction. @throws AppError `enrolment-token-invalid`. */
export async function enrol(
  ctx: Ctx,
  {
    token,
    signingKey,
    sealingKey,
  }: { token: string; signingKey: SigningKey; sealingKey: SealingKey },
): Promise<EnrolAnswer> {
  const host = await ctx.db.transaction(async (tx) => {
    const [used] = await tx
      .update(enrolmentTokens)
      .set({ usedAt: sql`${ctx.now()}` })
      .where(
        and(
          eq(enrolmentTokens.hash, hashToken(token)),
          isNull(enrolmentTokens.usedAt),
          gt(enrolmentTokens.expiresAt, sql`${ctx.now()}`),
        ),
      )
      .returning({ hostId: enrolmentTokens.hostId });
    if (!used) return undefined;
    const [row] = await tx
      .update(hosts)
      .set({ signingKey, sealingKey, enrolledAt: sql`${ctx.now()}`, revokedAt: null })
      .where(eq(hosts.id, used.hostId))
      .returning();
    return row;
  });
  if (!host) {
    throw new AppError(
      "enrolment-token-invalid",
      "the enrolment token is unknown, used or expired: an administrator can make a new one",
    );
  }
  return {
    hostId: host.id,
    host: host.name,
    roles: host.roles,
    fleet: ctx.secrets.fleet,
    jwks: await pinnedKeys(ctx),
  };
}
