import { createRemoteJWKSet, errors, jwtVerify } from "jose";
import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import type { Actor } from "./actor.ts";
import { actorOf } from "./oidc-actor.ts";
import { type OidcClient, type OidcSignIn, openOidcSignIn } from "./oidc-sign-in.ts";

/** An OpenID Connect issuer, and the claim that holds an operator's scope. */
export type OidcSettings = {
  issuer: string;
  /** Of access tokens that count as operators'; null: none do. */
  audience: string | null;
  scopeClaim: string;
  /** null: nobody signs in to the dashboard there. */
  client: OidcClient | null;
};

export type Oidc = {
  /** Who a token's bearer is. @throws AppError `not-authenticated`, `forbidden`, `unavailable`. */
  authenticate: (input: { token: string }) => Promise<Actor>;
  /** Sends browsers there and takes them back; null: the issuer does not know the dashboard. */
  signIn: OidcSignIn | null;
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
  const { audience, client } = settings;
  return {
    signIn: client && openOidcSignIn({ ...settings, client }),
    authenticate: async ({ token }) => {
      if (audience === null)
        throw new AppError("not-authenticated", "tokens of the issuer are not taken here");
      const { payload } = await jwtVerify(token, await knownKeys(), {
        algorithms,
        issuer: settings.issuer,
        audience,
        requiredClaims: ["sub", "exp"],
      }).catch((cause: unknown) => {
        if (cause instanceof errors.JWKSTimeout || !(cause instanceof errors.JOSEError))
          throw new AppError("unavailable", "the OpenID Connect issuer cannot be asked", { cause });
        const why = cause instanceof errors.JWTExpired ? "has expired" : "is not valid";
        throw new AppError("not-authenticated", `the issuer's token ${why}`, { cause });
      });
      return actorOf({ ...payload, sub: payload.sub! }, settings);
    },
  };
}
