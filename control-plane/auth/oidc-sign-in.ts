import {
  allowInsecureRequests,
  authorizationCodeGrant,
  AuthorizationResponseError,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  ClientError,
  ClientSecretBasic,
  type Configuration,
  discovery,
  enableNonRepudiationChecks,
  fetchUserInfo,
  None,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
  ResponseBodyError,
} from "openid-client";
import { AppError } from "../../protocol/errors.ts";
import { actorOf } from "./oidc-actor.ts";
import type { Flow } from "./sign-in-flow.ts";

/** What the issuer knows the dashboard as. */
export type OidcClient = {
  id: string;
  /** null: a public client, which PKCE alone protects. */
  secret: string | null;
  /** Where the issuer sends browsers back to. */
  redirectUri: string;
  /** What it is asked for, apart by spaces. */
  scopes: string;
};

type Secrets = Omit<Flow, "next">;

/** The redirect flow: authorization code with PKCE, `state` and `nonce` (OpenID Connect Core, RFC 7636, RFC 9207). */
export type OidcSignIn = {
  /** The issuer's host, for people. */
  issuer: string;
  /** Where to send a browser, and what it must come back with. @throws AppError `unavailable`. */
  begin: () => Promise<{ url: string; flow: Secrets }>;
  /** Who came back. @throws AppError `not-authenticated`, `forbidden`, `unavailable`. */
  finish: (input: { query: string; flow: Secrets }) => Promise<ReturnType<typeof actorOf>>;
};

const timeoutSeconds = 10;

function explain(cause: unknown): AppError {
  if (cause instanceof AppError) return cause;
  if (cause instanceof AuthorizationResponseError || cause instanceof ResponseBodyError) {
    const why = (cause.error_description ?? cause.error).replaceAll(/\p{Cc}/gu, " ").slice(0, 200);
    return new AppError("not-authenticated", `the issuer does not sign you in: ${why}`, { cause });
  }
  if (cause instanceof ClientError && cause.code !== "OAUTH_TIMEOUT")
    return new AppError("not-authenticated", "the issuer's answer is not valid: sign in again", {
      cause,
    });
  return new AppError("unavailable", "the OpenID Connect issuer cannot be asked", { cause });
}

const orExplained = <Value>(asked: Promise<Value>): Promise<Value> =>
  asked.catch((cause: unknown) => {
    throw explain(cause);
  });

/** Signs people in at an issuer. It is asked who it is at first use, and again where it did not answer. */
export function openOidcSignIn(settings: {
  issuer: string;
  scopeClaim: string;
  client: OidcClient;
}): OidcSignIn {
  const { issuer, client } = settings;
  let known: Promise<Configuration> | undefined;
  const configuration = () => {
    known ??= discovery(
      new URL(issuer),
      client.id,
      undefined,
      client.secret === null ? None() : ClientSecretBasic(client.secret),
      {
        timeout: timeoutSeconds,
        execute: [
          enableNonRepudiationChecks,
          // config.ts lets this be loopback alone.
          ...(issuer.startsWith("http:") ? [allowInsecureRequests] : []),
        ],
      },
    );
    known.catch(() => {
      known = undefined;
    });
    return orExplained(known);
  };
  /** The scope may stand in the ID token, or in what the issuer says when asked. */
  const claimsOf = async (config: Configuration, query: string, flow: Secrets) => {
    const url = new URL(client.redirectUri);
    url.search = query;
    const tokens = await authorizationCodeGrant(config, url, {
      expectedState: flow.state,
      expectedNonce: flow.nonce,
      pkceCodeVerifier: flow.codeVerifier,
      idTokenExpected: true,
    });
    const claims = tokens.claims()!;
    const asks = config.serverMetadata().userinfo_endpoint !== undefined;
    if (settings.scopeClaim in claims || !asks) return claims;
    return { ...claims, ...(await fetchUserInfo(config, tokens.access_token, claims.sub)) };
  };
  return {
    issuer: new URL(issuer).host,
    begin: async () => {
      const config = await configuration();
      const flow = {
        state: randomState(),
        nonce: randomNonce(),
        codeVerifier: randomPKCECodeVerifier(),
      };
      const url = buildAuthorizationUrl(config, {
        redirect_uri: client.redirectUri,
        scope: client.scopes,
        state: flow.state,
        nonce: flow.nonce,
        code_challenge: await calculatePKCECodeChallenge(flow.codeVerifier),
        code_challenge_method: "S256",
      });
      return { url: url.href, flow };
    },
    finish: async ({ query, flow }) => {
      const config = await configuration();
      return actorOf(await orExplained(claimsOf(config, query, flow)), settings);
    },
  };
}
