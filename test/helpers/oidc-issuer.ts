import { once } from "node:events";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";
import { onTestFinished } from "vitest";

/** Whom the issuer has signed in, with which claims beside `sub`; null: who does not want to. */
export type Person = { sub: string; claims: Record<string, unknown> } | null;

/**
 * A real issuer on loopback whose sign-in page answers by itself, as `who` at that moment. With `inIdToken`
 * false the claims are told at the userinfo endpoint alone.
 */
export async function startIssuer({
  clientId,
  clientSecret,
  redirectUri,
  inIdToken = true,
}: {
  clientId: string;
  clientSecret: string;
  redirectUri: string;
  inIdToken?: boolean;
}) {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const issuer = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const state: { who: Person } = { who: null };
  const people = new Map<string, Person>();
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [redirectUri],
        response_types: ["code"],
        grant_types: ["authorization_code"],
      },
    ],
    claims: { openid: ["sub", "email", "mirrorfleet_scope"], profile: [], email: [] },
    conformIdTokenClaims: !inIdToken,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_ctx: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    findAccount: (_ctx: unknown, sub: string) => ({
      accountId: sub,
      claims: () => ({ sub, ...people.get(sub)?.claims }),
    }),
    loadExistingGrant: async (ctx: any) => {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope("openid profile email");
      await grant.save();
      return grant;
    },
  });
  const answer = provider.callback();
  server.on("request", (request, response) => {
    if (!request.url?.startsWith("/interaction/")) {
      void answer(request, response);
      return;
    }
    const { who } = state;
    if (who) people.set(who.sub, who);
    const result = who
      ? { login: { accountId: who.sub, remember: false } }
      : { error: "access_denied", error_description: "the person said no" };
    void provider.interactionFinished(request, response, result);
  });
  onTestFinished(() => void server.close());
  return { issuer, state };
}

/** Follows a browser's way at the issuer to where it sends it back. */
export async function walkThrough(url: string, { back }: { back: string }): Promise<URL> {
  const jar = new Map<string, string>();
  let next = url;
  for (let hops = 0; hops < 10; hops++) {
    if (next.startsWith(back)) return new URL(next);
    const response = await fetch(next, {
      redirect: "manual",
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join("; ") },
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
      jar.set(name!, value!);
    }
    const location = response.headers.get("location");
    if (location === null) throw new Error(`${next}: ${response.status} ${await response.text()}`);
    next = new URL(location, next).href;
  }
  throw new Error("the issuer sends in circles");
}
