import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { generateKeyPairSync } from "node:crypto";
import { SignJWT, UnsecuredJWT } from "jose";
import { Provider } from "oidc-provider";
import { expect, onTestFinished, test } from "vitest";
import { openOidc } from "../../../control-plane/auth/oidc.ts";
import { startControlPlane } from "../../helpers/control-plane.ts";
import { createTestDatabase } from "../../helpers/database.ts";

const audience = "https://mirror-control.example.org";
const scopeClaim = "mirrorfleet_scope";

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as { port: number }).port;
}

/** A real issuer on loopback; its client's access tokens are JWTs for our audience with a scope. */
async function startIssuer({ scope }: { scope: unknown }) {
  const server = createServer();
  const port = await listening(server);
  const issuer = `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "ops",
        client_secret: "secret",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      },
    ],
    extraTokenClaims: () => ({ [scopeClaim]: scope }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx: unknown, resource: string) => ({
          scope: "",
          audience: resource,
          accessTokenFormat: "jwt" as const,
        }),
      },
    },
  });
  const answer = provider.callback();
  server.on("request", (request, response) => void answer(request, response));
  onTestFinished(() => void server.close());
  const token = async () => {
    const response = await fetch(`${issuer}/token`, {
      method: "POST",
      headers: {
        authorization: `Basic ${Buffer.from("ops:secret").toString("base64")}`,
        "content-type": "application/x-www-form-urlencoded",
      },
      body: `grant_type=client_credentials&resource=${encodeURIComponent(audience)}`,
    });
    return String(((await response.json()) as any).access_token);
  };
  return { issuer, token };
}

async function serveWith(issuer: string) {
  const database = await createTestDatabase();
  const oidc = openOidc({ issuer, audience, scopeClaim, client: null });
  const controlPlane = await startControlPlane({ connection: database.connection, oidc });
  onTestFinished(async () => {
    await controlPlane.close();
    await database.drop();
  });
  return controlPlane;
}

test("a token of the issuer counts as an operator's, with the scope that its claim holds", async () => {
  const { issuer, token } = await startIssuer({ scope: ["other", "operator"] });
  const { operate } = await serveWith(issuer);
  const bearer = await token();
  expect((await operate("GET", "/v1/projects", undefined, bearer)).status).toBe(200);
  expect((await operate("POST", "/v1/settings/pause", {}, bearer)).status).toBe(200);
  expect((await operate("POST", "/v1/tokens", { name: "x", scope: "admin" }, bearer)).status).toBe(
    403,
  );
  const { items } = (await operate("GET", "/v1/audit-events")).body;
  expect(items).toMatchObject([{ action: "pauseFleet", actor: "ops" }]);
});

test("a token without a known scope is forbidden everything", async () => {
  const { issuer, token } = await startIssuer({ scope: "superuser" });
  const { operate } = await serveWith(issuer);
  expect(await operate("GET", "/v1/projects", undefined, await token())).toMatchObject({
    status: 403,
    body: { detail: expect.stringContaining(scopeClaim) },
  });
});

test("tokens for others, of others, without a signature or with a changed one are refused", async () => {
  const { issuer, token } = await startIssuer({ scope: "admin" });
  const { operate } = await serveWith(issuer);
  const good = await token();
  const claims = () => ({
    [scopeClaim]: "admin",
    sub: "ops",
    iss: issuer,
    aud: audience,
    exp: 2e9,
  });
  const { privateKey } = generateKeyPairSync("ed25519");
  const forged = await new SignJWT(claims()).setProtectedHeader({ alg: "EdDSA" }).sign(privateKey);
  const symmetric = await new SignJWT(claims())
    .setProtectedHeader({ alg: "HS256" })
    .sign(Buffer.from("x".repeat(32)));
  const [head, , signature] = good.split(".");
  const changed = `${head}.${Buffer.from(JSON.stringify(claims())).toString("base64url")}.${signature}`;
  for (const bad of [new UnsecuredJWT(claims()).encode(), forged, symmetric, changed, "a.b.c"])
    expect((await operate("GET", "/v1/projects", undefined, bad)).status).toBe(401);
  const other = await serveWith((await startIssuer({ scope: "admin" })).issuer);
  expect((await other.operate("GET", "/v1/projects", undefined, good)).status).toBe(401);
});

test("while the issuer is away its tokens are not refused but unanswerable, and operator tokens go on", async () => {
  const { operate } = await serveWith("http://127.0.0.1:1");
  expect(await operate("GET", "/v1/projects", undefined, "a.b.c")).toMatchObject({
    status: 503,
    body: { code: "unavailable" },
  });
  expect((await operate("GET", "/v1/projects")).status).toBe(200);
});
