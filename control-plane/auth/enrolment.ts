import { and, eq, gt, isNull, type SQL, sql } from "drizzle-orm";
import { calculateJwkThumbprint, decodeProtectedHeader, importJWK, jwtVerify, SignJWT } from "jose";
import type { z } from "zod";
import { joinClaimsSchema, parseEnrolmentToken } from "../../protocol/enrolment.ts";
import { AppError } from "../../protocol/errors.ts";
import {
  type EnrolAnswer,
  type SealingKey,
  type SigningKey,
  signingKeySchema,
} from "../../protocol/fleet.ts";
import { signatureAlgorithm, tokenTypes } from "../../protocol/order.ts";
import type { Ctx } from "../context.ts";
import { enrolmentTokens, hosts } from "../db/schema/hosts.ts";
import { hashToken, newToken } from "./secrets.ts";
import { fingerprint, keyOf, openSignerOf, pinnedKeys } from "./task-keys.ts";

type HostKeys = { signingKey: SigningKey; sealingKey: SealingKey };
type JoinClaims = z.infer<typeof joinClaimsSchema>;
type HostRow = typeof hosts.$inferSelect;

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

/**
 * Makes an enrolment token that lasts one hour; older ones of the host end. Of its secret, which is the seed
 * of a key, the database gets the public key: who reads that cannot join.
 */
export async function createEnrolmentToken(ctx: Ctx, { hostId }: { hostId: string }) {
  const bare = newToken("mfe");
  const { seed } = parseEnrolmentToken(bare)!;
  const { x: joinKey } = await keyOf(Buffer.from(seed, "base64url"));
  await endEnrolmentTokens(ctx, { hostId });
  const expiresAt = sql`${ctx.now()} + interval '1 hour'`;
  const [row] = await ctx.db
    .insert(enrolmentTokens)
    .values({ hostId, hash: hashToken(bare), joinKey, expiresAt })
    .returning({ expiresAt: enrolmentTokens.expiresAt });
  const token = `${bare}.${await fingerprint(ctx)}`;
  return { token, expiresAt: row!.expiresAt.toISOString() };
}

const invalid = (cause?: unknown) =>
  new AppError(
    "enrolment-token-invalid",
    "the enrolment token is unknown, used or expired: an administrator can make a new one",
    { cause },
  );

/** Uses the token up that `which` names, and gives its host these keys; undefined where there is none to use. */
async function takeToken(
  ctx: Ctx,
  { which, signingKey, sealingKey }: HostKeys & { which: SQL },
): Promise<HostRow | undefined> {
  const [used] = await ctx.db
    .update(enrolmentTokens)
    .set({ usedAt: sql`${ctx.now()}` })
    .where(
      and(which, isNull(enrolmentTokens.usedAt), gt(enrolmentTokens.expiresAt, sql`${ctx.now()}`)),
    )
    .returning({ hostId: enrolmentTokens.hostId });
  if (!used) return undefined;
  const [row] = await ctx.db
    .update(hosts)
    .set({
      signingKey,
      sealingKey,
      enrolledAt: sql`${ctx.now()}`,
      revokedAt: null,
      // Whoever has the old key is out: the new one is of one machine again.
      instance: null,
      instances: null,
      quarantinedAt: null,
      quarantineReason: "",
    })
    .where(eq(hosts.id, used.hostId))
    .returning();
  return row;
}

const enrolAnswer = async (ctx: Ctx, { id, name, roles }: HostRow): Promise<EnrolAnswer> => ({
  hostId: id,
  host: name,
  roles,
  fleet: ctx.secrets.fleet,
  jwks: await pinnedKeys(ctx),
});

/** Enrols an agent of protocol 1, which sends the token itself. In a transaction. @throws AppError `enrolment-token-invalid`. */
export async function enrol(
  ctx: Ctx,
  { token, ...keys }: HostKeys & { token: string },
): Promise<EnrolAnswer> {
  const bare = parseEnrolmentToken(token)?.bare ?? token;
  const which = eq(enrolmentTokens.hash, hashToken(bare));
  const host = await takeToken(ctx, { which, ...keys });
  if (!host) throw invalid();
  return enrolAnswer(ctx, host);
}

/** Checks a join request against the public key in its header; that this is an invitation's is yet to be seen. */
async function verifyJoinRequest(request: string): Promise<JoinClaims & { joinKey: string }> {
  try {
    const jwk = signingKeySchema.parse(decodeProtectedHeader(request).jwk);
    const { payload } = await jwtVerify(request, await importJWK(jwk, signatureAlgorithm), {
      algorithms: [signatureAlgorithm],
      typ: tokenTypes.join,
    });
    return { ...joinClaimsSchema.parse(payload), joinKey: jwk.x };
  } catch (cause) {
    throw invalid(cause);
  }
}

/** The host that has joined with this request already: its agent did not get the answer, and asks again. */
async function joinedBefore(
  ctx: Ctx,
  { joinKey, signingKey }: { joinKey: string; signingKey: SigningKey },
): Promise<HostRow | undefined> {
  const [row] = await ctx.db
    .select({ host: hosts })
    .from(enrolmentTokens)
    .innerJoin(hosts, eq(hosts.id, enrolmentTokens.hostId))
    .where(
      and(
        eq(enrolmentTokens.joinKey, joinKey),
        gt(enrolmentTokens.expiresAt, sql`${ctx.now()}`),
        isNull(hosts.revokedAt),
        sql`${hosts.signingKey} ->> 'x' = ${signingKey.x}`,
      ),
    );
  return row?.host;
}

/**
 * Enrols a host by its join request: whoever carries that learns nothing to enrol with, and what is answered
 * holds for this host's key alone, signed by the key that the invitation names. In a transaction.
 * @throws AppError `enrolment-token-invalid`, or `conflict` where that key is gone.
 */
export async function join(ctx: Ctx, { request }: { request: string }) {
  const { joinKey, aud, signingKey, sealingKey } = await verifyJoinRequest(request);
  const signer = await openSignerOf(ctx, { kid: aud });
  if (!signer)
    throw new AppError(
      "conflict",
      "this control plane has not the key that the invitation names: it is another one, or the key was removed since; invite the host again",
    );
  const which = eq(enrolmentTokens.joinKey, joinKey);
  const taken = await takeToken(ctx, { which, signingKey, sealingKey });
  const host = taken ?? (await joinedBefore(ctx, { joinKey, signingKey }));
  if (!host) throw invalid();
  const token = new SignJWT({ ...(await enrolAnswer(ctx, host)) })
    .setIssuer(ctx.secrets.fleet)
    .setAudience(await calculateJwkThumbprint(signingKey));
  const answer = await signer.sign({ type: tokenTypes.joined, token });
  return { host, signingKey, isNew: taken !== undefined, body: { answer, key: signer.key } };
}
