import {
  createHash,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  randomUUID,
} from "node:crypto";
import { sql } from "drizzle-orm";
import type { Hono } from "hono";
import { compactDecrypt, SignJWT } from "jose";
import { pino } from "pino";
import type {
  EnrolAnswer,
  HostFacts,
  PollAnswer,
  SealingKey,
  SigningKey,
} from "../../protocol/fleet.ts";
import type { Instance } from "../../protocol/instance.ts";
import type { Role } from "../../protocol/host.ts";
import { tokenTypes } from "../../protocol/order.ts";
import { nothingDone, type Result } from "../../protocol/report.ts";
import { createOperatorToken } from "../../control-plane/auth/operator-tokens.ts";
import { deriveSecrets } from "../../control-plane/auth/secrets.ts";
import { openFleet } from "../../control-plane/auth/task-keys.ts";
import type { Ctx } from "../../control-plane/context.ts";
import { connect, type Connection } from "../../control-plane/db/connect.ts";
import { startWake } from "../../control-plane/dispatch/wake.ts";
import { createApp } from "../../control-plane/http/app.ts";

/** A control plane without sockets on a real database: requests go to the app directly. */
export async function startControlPlane<Place extends Connection>({
  connection,
  oidc = null,
  share = (_name, read) => read(),
  packagesDirectory,
}: {
  connection: Place;
  oidc?: Ctx["oidc"];
  /** Left out: each asks for himself. */
  share?: Ctx["share"];
  packagesDirectory?: string;
}) {
  const log = pino({ level: "silent" });
  const { db, close: disconnect } = connect({ connection, max: 4 });
  const derived = deriveSecrets({ secret: randomBytes(32) });
  const clock = { offsetSeconds: 0 };
  const now = () => sql`(now() + ${clock.offsetSeconds} * interval '1 second')`;
  const secrets = { ...derived, fleet: await openFleet({ db, now, secrets: derived }) };
  const wake = await startWake({ connection, log });
  const ctx: Ctx = {
    db,
    log,
    secrets,
    oidc,
    share,
    now,
    packagesDirectory,
    waitForWake: wake.waitForWake,
  };
  const { token: admin } = await createOperatorToken({ db }, { name: "test", scope: "admin" });
  const app = createApp(ctx);
  const operate = async (method: string, path: string, body?: unknown, token = admin) => {
    const response = await app.request(path, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as any };
  };
  const close = async () => {
    await wake.close();
    await disconnect();
  };
  return { ctx, app, clock, operate, admin, connection, close };
}

export type TestAgent = {
  answer: EnrolAnswer;
  signingKey: KeyObject;
  sign: (input: {
    method: string;
    path: string;
    body: string;
    claims?: Record<string, unknown>;
  }) => Promise<string>;
  request: (method: string, path: string, body?: unknown) => Promise<{ status: number; body: any }>;
  /** Opens what was sealed to this agent. */
  open: (sealed: string) => Promise<string>;
  poll: (input?: {
    pollId?: string;
    waitSeconds?: number;
    daemonUsersVersion?: string | null;
    facts?: HostFacts;
    clock?: string;
    instance?: Instance;
    confirm?: string;
  }) => Promise<PollAnswer>;
};

/** Invites and enrols a host as its agent would, and answers what signs that agent's requests. */
export async function enrolAgent(
  {
    app,
    operate,
  }: {
    app: Hono;
    operate: (method: string, path: string, body?: unknown) => Promise<{ body: any }>;
  },
  { name, role }: { name: string; role: Role },
): Promise<TestAgent> {
  const invite = await operate("POST", "/v1/hosts", {
    name,
    roles: [role],
    addresses: ["127.0.0.1"],
  });
  const signing = generateKeyPairSync("ed25519");
  const sealing = generateKeyPairSync("x25519");
  const enrolled = await app.request("/v1/enrol", {
    method: "POST",
    body: JSON.stringify({
      token: invite.body.enrolment.token,
      signingKey: signing.publicKey.export({ format: "jwk" }) as SigningKey,
      sealingKey: sealing.publicKey.export({ format: "jwk" }) as SealingKey,
    }),
  });
  const answer = (await enrolled.json()) as EnrolAnswer;
  const sign: TestAgent["sign"] = ({ method, path, body, claims = {} }) =>
    new SignJWT({
      htm: method,
      htu: path,
      bsh: createHash("sha256").update(body).digest("base64url"),
      iss: answer.hostId,
      aud: answer.fleet,
      jti: randomUUID(),
      iat: Math.floor(Date.now() / 1000),
      exp: Math.floor(Date.now() / 1000) + 60,
      ...claims,
    })
      .setProtectedHeader({ alg: "EdDSA", typ: tokenTypes.agent })
      .sign(signing.privateKey);
  const request: TestAgent["request"] = async (method, path, body) => {
    const text = body === undefined ? "" : JSON.stringify(body);
    const response = await app.request(path, {
      method,
      headers: { authorization: `Bearer ${await sign({ method, path, body: text })}` },
      ...(body !== undefined && { body: text }),
    });
    return { status: response.status, body: await response.json() };
  };
  const poll: TestAgent["poll"] = async ({
    pollId = randomUUID(),
    waitSeconds = 0,
    daemonUsersVersion = null,
    ...facts
  } = {}) => {
    const isMaster = role === "master";
    const roots = ["/srv/mirror", "/srv/disk2"].map((root, index) => ({
      path: root,
      module: isMaster ? `mirror${index || ""}` : null,
    }));
    const { body } = await request("POST", "/v1/agent/poll", {
      pollId,
      agentVersion: "test",
      waitSeconds,
      daemonUsersVersion,
      daemonPort: isMaster ? 8873 : null,
      roots,
      ...facts,
    });
    return body as PollAnswer;
  };
  const open: TestAgent["open"] = async (sealed) =>
    new TextDecoder().decode((await compactDecrypt(sealed, sealing.privateKey)).plaintext);
  return { answer, signingKey: signing.privateKey, sign, request, poll, open };
}

/** A result as an agent would send it. */
export function testResult(overrides: Partial<Result> = {}): Result {
  return {
    ...nothingDone,
    outcome: "ok",
    exitCode: 0,
    message: "",
    changes: 1,
    seconds: 1,
    logBytes: 0,
    ...overrides,
  };
}

/** Sends a report on an attempt with its task token. */
export async function report(
  { app }: { app: Hono },
  {
    taskId,
    token,
    kind,
    body,
  }: { taskId: string; token: string; kind: "heartbeat" | "result"; body: unknown },
): Promise<{ status: number; body: any }> {
  const response = await app.request(`/v1/tasks/${taskId}/${kind}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}
