import { randomUUID } from "node:crypto";
import { CompactEncrypt, errors, importJWK, jwtVerify, SignJWT } from "jose";
import { AppError } from "../../protocol/errors.ts";
import type { SealingKey } from "../../protocol/fleet.ts";
import {
  signatureAlgorithm,
  type SyncSpec,
  type TaskTokenClaims,
  taskTokenClaimsSchema,
  tokenTypes,
} from "../../protocol/order.ts";
import { type StandingClaims, standingClaimsSchema } from "../../protocol/standing.ts";
import type { Ctx } from "../context.ts";
import { taskKeyOf, type TaskSigner } from "./task-keys.ts";

/** Seconds within which an agent must begin what an order says. */
const orderSeconds = 300;
/** Seconds that a task token lasts: an agent may deliver a result after a long outage. */
const taskTokenSeconds = 30 * 86_400;
/** Seconds that a standing order lasts. */
export const standingSeconds = 7 * 86_400;
/** Audience of task tokens: only the control plane takes them. */
const controlPlaneAudience = "control-plane";

type Attempt = { taskId: string; hostId: string; attempt: number };

type KeyCtx = Pick<Ctx, "db" | "now" | "secrets" | "share">;
type FleetCtx = Pick<Ctx, "secrets">;

function sign(
  { secrets }: FleetCtx,
  {
    signer,
    type,
    claims,
    audience,
    subject,
    seconds,
  }: {
    signer: TaskSigner;
    type: string;
    claims: Record<string, unknown>;
    audience: string;
    subject: string;
    seconds: number;
  },
) {
  const token = new SignJWT(claims)
    .setIssuer(secrets.fleet)
    .setAudience(audience)
    .setSubject(subject)
    .setJti(randomUUID())
    .setIssuedAt()
    .setExpirationTime(`${seconds}s`);
  return signer({ type, token });
}

/** Signs a task order for one attempt on one host. */
export function signOrder(
  ctx: FleetCtx,
  { signer, taskId, hostId, attempt, sync }: Attempt & { signer: TaskSigner; sync: SyncSpec },
) {
  return sign(ctx, {
    signer,
    type: tokenTypes.order,
    claims: { attempt, sync },
    audience: hostId,
    subject: taskId,
    seconds: orderSeconds,
  });
}

/** Signs a standing order: what a host does by itself, for a project, while it is out of contact. */
export async function signStandingOrder(
  ctx: FleetCtx,
  {
    signer,
    projectId,
    hostId,
    now,
    claims,
  }: {
    signer: TaskSigner;
    projectId: string;
    hostId: string;
    now: Date;
    claims: Omit<StandingClaims, "iss" | "aud" | "sub" | "jti" | "iat" | "nbf" | "exp">;
  },
): Promise<string> {
  const from = Math.floor(now.getTime() / 1000);
  const token = new SignJWT(claims)
    .setIssuer(ctx.secrets.fleet)
    .setAudience(hostId)
    .setSubject(projectId)
    .setJti(randomUUID())
    .setIssuedAt(from)
    .setNotBefore(from)
    .setExpirationTime(from + standingSeconds);
  return signer({ type: tokenTypes.standing, token });
}

/**
 * Checks the standing order that a host says it followed. It may have expired since.
 * @throws AppError `order-refused`.
 */
export async function verifyStandingOrder(
  ctx: KeyCtx,
  { order, hostId }: { order: string; hostId: string },
): Promise<StandingClaims> {
  const { payload } = await jwtVerify(order, ({ kid }) => taskKeyOf(ctx, { kid }), {
    algorithms: [signatureAlgorithm],
    typ: tokenTypes.standing,
    issuer: ctx.secrets.fleet,
    audience: hostId,
    clockTolerance: taskTokenSeconds,
  }).catch((cause: unknown) => {
    if (!(cause instanceof errors.JOSEError) && !(cause instanceof AppError)) throw cause;
    throw new AppError("order-refused", "the standing order is not one of this host's", { cause });
  });
  const claims = standingClaimsSchema.safeParse(payload);
  if (!claims.success)
    throw new AppError("order-refused", "the standing order's claims are malformed");
  return claims.data;
}

/** Signs the token that authorises the reports on one attempt. */
export function signTaskToken(
  ctx: FleetCtx,
  { signer, taskId, hostId, attempt, lease }: Attempt & { signer: TaskSigner; lease?: string },
) {
  return sign(ctx, {
    signer,
    type: tokenTypes.task,
    claims: { attempt, host: hostId, ...(lease !== undefined && { lease }) },
    audience: controlPlaneAudience,
    subject: taskId,
    seconds: taskTokenSeconds,
  });
}

/** Checks a task token. @throws AppError `not-authenticated`, `forbidden` when it is another task's. */
export async function verifyTaskToken(
  ctx: KeyCtx,
  { token, taskId }: { token: string; taskId: string },
): Promise<TaskTokenClaims> {
  const { payload } = await jwtVerify(token, ({ kid }) => taskKeyOf(ctx, { kid }), {
    algorithms: [signatureAlgorithm],
    typ: tokenTypes.task,
    issuer: ctx.secrets.fleet,
    audience: controlPlaneAudience,
  }).catch((cause: unknown) => {
    // A database that does not answer says nothing about the token.
    if (!(cause instanceof errors.JOSEError) && !(cause instanceof AppError)) throw cause;
    throw new AppError(
      "not-authenticated",
      "the task token is not valid: it must be the one that came with this attempt's order",
      { cause },
    );
  });
  const claims = taskTokenClaimsSchema.safeParse(payload);
  if (!claims.success)
    throw new AppError("not-authenticated", "the task token's claims are malformed");
  if (claims.data.sub !== taskId)
    throw new AppError("forbidden", "the task token belongs to another task");
  return claims.data;
}

/** Seals a secret to one agent (RFC 7516, ECDH-ES with A256GCM). */
export async function seal({ secret, key }: { secret: string; key: SealingKey }): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(secret))
    .setProtectedHeader({ alg: "ECDH-ES", enc: "A256GCM" })
    .encrypt(await importJWK(key, "ECDH-ES"));
}
