import { randomUUID } from "node:crypto";
import { CompactEncrypt, importJWK, jwtVerify, SignJWT } from "jose";
import { AppError } from "../../protocol/errors.ts";
import type { SealingKey } from "../../protocol/fleet.ts";
import {
  signatureAlgorithm,
  type SyncSpec,
  type TaskTokenClaims,
  taskTokenClaimsSchema,
  tokenTypes,
} from "../../protocol/order.ts";
import type { Secrets } from "./secrets.ts";

/** Seconds within which an agent must begin what an order says. */
const orderSeconds = 300;
/** Seconds that a task token lasts: an agent may deliver a result after a long outage. */
const taskTokenSeconds = 30 * 86_400;
/** Audience of task tokens: only the control plane takes them. */
const controlPlaneAudience = "control-plane";

type Attempt = { taskId: string; hostId: string; attempt: number };

function sign(
  secrets: Secrets,
  {
    type,
    claims,
    audience,
    subject,
    seconds,
  }: {
    type: string;
    claims: Record<string, unknown>;
    audience: string;
    subject: string;
    seconds: number;
  },
) {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: signatureAlgorithm, typ: type, kid: secrets.fleet })
    .setIssuer(secrets.fleet)
    .setAudience(audience)
    .setSubject(subject)
    .setJti(randomUUID())
    .setIssuedAt()
    .setExpirationTime(`${seconds}s`)
    .sign(secrets.taskKey);
}

/** Signs a task order for one attempt on one host. */
export function signOrder(
  secrets: Secrets,
  { taskId, hostId, attempt, sync }: Attempt & { sync: SyncSpec },
) {
  return sign(secrets, {
    type: tokenTypes.order,
    claims: { attempt, sync },
    audience: hostId,
    subject: taskId,
    seconds: orderSeconds,
  });
}

/** Signs the token that authorises the reports on one attempt. */
export function signTaskToken(secrets: Secrets, { taskId, hostId, attempt }: Attempt) {
  return sign(secrets, {
    type: tokenTypes.task,
    claims: { attempt, host: hostId },
    audience: controlPlaneAudience,
    subject: taskId,
    seconds: taskTokenSeconds,
  });
}

/** Checks a task token. @throws AppError `not-authenticated`, `forbidden` when it is another task's. */
export async function verifyTaskToken(
  secrets: Secrets,
  { token, taskId }: { token: string; taskId: string },
): Promise<TaskTokenClaims> {
  const { payload } = await jwtVerify(token, secrets.taskPublicKey, {
    algorithms: [signatureAlgorithm],
    typ: tokenTypes.task,
    issuer: secrets.fleet,
    audience: controlPlaneAudience,
  }).catch((cause: unknown) => {
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
