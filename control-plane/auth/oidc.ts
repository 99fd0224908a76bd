import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from "jose";
import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import { type OperatorScope, scopes } from "../../protocol/token.ts";
import type { Actor } from "./actor.ts";

/** An OpenID Connect issuer whose tokens count as operators', and the claim that holds their scope. */
export type OidcSettings = { issuer: string; audience: string; scopeClaim: string };

export type Oidc = {
  /** Who a token's bearer is. @throws AppError `not-authenticated`, `forbidden`, `unavailable`. */
  authenticate: (input: { token: string }) => Promise<Actor>;
};

const discoverySeconds = 10;
/** Asymmetric algorithms alone (RFC 8725 §3.1): a public key must never serve as a secret. */
const algorithms = [
  "EdDSA",
  "ES256",
  "ES384",
  "ES512",
  "PS256",
  "PS384",
  "RS256",
  "RS384",
  "RS512",
];

const discoverySchema = z.object({ issuer: z.string(), jwks_uri: z.url() });

async function discover({ issuer }: OidcSettings) {
  const url = `${issuer.replace(/\/+$/, "")}/.well-known/openid-configuration`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(discoverySeconds * 1000) });
    const found = discoverySchema.parse(await response.json());
    if (found.issuer !== issuer) throw new Error(`it calls itself ${found.issuer}`);
    return createRemoteJWKSet(new URL(found.jwks_uri));
  } catch (cause) {
    throw new AppError("unavailable", "the OpenID Connect issuer cannot be asked", { cause });
  }
}

const asText = (value: unknown) => (typeof value === "string" ? value : "");

/** The highest scope among the claim's words. @throws AppError `forbidden` where there is none. */
function scopeOf(payload: JWTPayload, { scopeClaim }: OidcSettings): OperatorScope {
  const claim = payload[scopeClaim];
  const words: unknown[] = Array.isArray(claim) ? claim : asText(claim).split(/\s+/);
  const scope = scopes.findLast((each) => words.includes(each));
  if (scope === undefined)
    throw new AppError(
      "forbidden",
      `the token's claim "${scopeClaim}" holds none of ${scopes.join(", ")}`,
    );
  return scope;
}

/** Takes tokens of an issuer. Its keys are fetched at first use, and again when it changes them. */
export function openOidc(settings: OidcSettings): Oidc {
  let keys: ReturnType<typeof discover> | undefined;
  const knownKeys = () => {
    keys ??= discover(settings);
    // An issuer that did not answer is asked again next time.
    keys.catch(() => {
      keys = undefined;
    });
    return keys;
  };
  return {
    authenticate: async ({ token }) => {
      const { payload } = await jwtVerify(token, await knownKeys(), {
        algorithms,
        issuer: settings.issuer,
        audience: settings.audience,
        requiredClaims: ["sub", "exp"],
      }).catch((cause: unknown) => {
        if (cause instanceof errors.JWKSTimeout || !(cause instanceof errors.JOSEError))
          throw new AppError("unavailable", "the OpenID Connect issuer cannot be asked", { cause });
        const why = cause instanceof errors.JWTExpired ? "has expired" : "is not valid";
        throw new AppError("not-authenticated", `the issuer's token ${why}`, { cause });
      });
      const name = asText(payload["email"]) || asText(payload["preferred_username"]);
      return {
        id: `oidc:${payload.sub}`,
        name: (name || payload.sub!).replaceAll(/\p{Cc}/gu, "").slice(0, 200),
        scope: scopeOf(payload, settings),
      };
    },
  };
}
