import { createHash } from "node:crypto";
import { eq } from "drizzle-orm";
import { decodeJwt, errors, importJWK, jwtVerify } from "jose";
import { AppError } from "../../protocol/errors.ts";
import {
  agentTokenClaimsSchema,
  clockToleranceSeconds,
  signatureAlgorithm,
  tokenTypes,
} from "../../protocol/order.ts";
import type { Ctx } from "../context.ts";
import { type Blanks, prepared } from "../db/compiled.ts";
import { hosts } from "../db/schema/hosts.ts";

export type HostRow = typeof hosts.$inferSelect;

/** Seconds for which what was made of a host's key is kept. */
const keySeconds = 3600;

const hostOfAgent = prepared(({ db }, { id }: Blanks<{ id: string }>) =>
  db.select().from(hosts).where(eq(hosts.id, id)).prepare("host of an agent"),
);

const refuse = (message: string, cause?: unknown) =>
  new AppError("not-authenticated", message, { cause });

/** The host's id as the token states it; nothing is believed before the signature is checked. */
function claimedIssuer(token: string): string {
  try {
    const issuer = agentTokenClaimsSchema.shape.iss.safeParse(decodeJwt(token).iss);
    if (issuer.success) return issuer.data;
  } catch (cause) {
    throw refuse("the agent's request token is not a JWT", cause);
  }
  throw refuse("the agent's request token names no host");
}

/**
 * Checks the signature of an agent's request: its host's key, this method, path and body, now.
 * @throws AppError `not-authenticated`, `agent-revoked`, `clock-skew`.
 */
export async function verifyAgentRequest(
  { db, secrets, share }: Ctx,
  {
    authorization,
    method,
    path,
    body,
  }: { authorization: string | undefined; method: string; path: string; body: Uint8Array },
): Promise<HostRow> {
  const token = /^Bearer (\S{1,4096})$/.exec(authorization ?? "")?.[1];
  if (token === undefined) throw refuse("needs a request signed with the agent key");
  const [host] = await hostOfAgent({ db }, { id: claimedIssuer(token) }).execute();
  if (!host) throw refuse("the agent's host is unknown");
  if (!host.signingKey)
    throw new AppError(
      host.revokedAt ? "agent-revoked" : "not-authenticated",
      `host ${host.name} has no agent key${host.revokedAt ? ": it was revoked" : ""}`,
    );
  const { signingKey } = host;
  const key = await share(
    `agent key ${signingKey.x}`,
    () => importJWK(signingKey, signatureAlgorithm),
    keySeconds,
  );
  const { payload } = await jwtVerify(token, key, {
    algorithms: [signatureAlgorithm],
    typ: tokenTypes.agent,
    audience: secrets.fleet,
    clockTolerance: clockToleranceSeconds,
  }).catch((cause: unknown) => {
    // jose checks the signature first: from here on the token is the host's, only its time is wrong.
    if (cause instanceof errors.JWTExpired) throw clockSkew(host.name);
    throw refuse("the signature of the agent's request is not valid", cause);
  });
  const claims = agentTokenClaimsSchema.safeParse(payload);
  if (!claims.success) throw refuse("the claims of the agent's request are malformed");
  if (Math.abs(Date.now() / 1000 - claims.data.iat) > clockToleranceSeconds + 60)
    throw clockSkew(host.name);
  if (claims.data.exp - claims.data.iat > 300)
    throw refuse("the agent's request token lasts too long");
  if (claims.data.htm !== method || claims.data.htu !== path)
    throw refuse("the request token was signed for another request");
  if (claims.data.bsh !== createHash("sha256").update(body).digest("base64url")) {
    throw refuse("the request token was signed for another body");
  }
  if (host.revokedAt)
    throw new AppError(
      "agent-revoked",
      `host ${host.name} was revoked; an administrator can invite it again`,
    );
  return host;
}

function clockSkew(host: string) {
  return new AppError(
    "clock-skew",
    `the clock of host ${host} differs from the control plane's by more than ${clockToleranceSeconds} seconds: check NTP on both`,
  );
}
