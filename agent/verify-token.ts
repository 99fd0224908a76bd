import { createLocalJWKSet, type JWTPayload, jwtVerify } from "jose";
import { clockToleranceSeconds, signatureAlgorithm, type tokenTypes } from "../protocol/order.ts";
import type { Identity } from "./identity.ts";

/**
 * Checks what the control plane signed for this host: by a pinned key, of this kind, for this fleet and host, now.
 * `now` is in seconds of the control plane's clock. Answers the claims. @throws jose's JOSEError.
 */
export async function verifyToken(
  { identity, now }: { identity: Pick<Identity, "jwks" | "fleet" | "hostId">; now: number },
  { token, typ }: { token: string; typ: (typeof tokenTypes)[keyof typeof tokenTypes] },
): Promise<JWTPayload> {
  const pinned = createLocalJWKSet(identity.jwks);
  const { payload } = await jwtVerify(token, pinned, {
    algorithms: [signatureAlgorithm],
    typ,
    issuer: identity.fleet,
    audience: identity.hostId,
    clockTolerance: clockToleranceSeconds,
    currentDate: new Date(now * 1000),
  });
  return payload;
}
