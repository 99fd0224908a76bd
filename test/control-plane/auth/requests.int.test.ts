import { createPublicKey, randomUUID } from "node:crypto";
import { SignJWT, UnsecuredJWT } from "jose";
import { expect, test } from "vitest";
import { tokenTypes } from "../../../protocol/order.ts";
import { createOperatorToken } from "../../../control-plane/auth/operator-tokens.ts";
import { enrolAgent, report, testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, readRun, trigger, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

const path = "/v1/agent/poll";
const body = JSON.stringify({
  pollId: randomUUID(),
  agentVersion: "test",
  waitSeconds: 0,
  daemonUsersVersion: null,
  daemonPort: null,
  roots: [{ path: "/srv/mirror", module: null }],
});

async function pollWith(token: string, text = body) {
  const response = await fleet.current.app.request(path, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: text,
  });
  return { status: response.status, body: (await response.json()) as any };
}

const claims = () => {
  const now = Math.floor(Date.now() / 1000);
  const { hostId, fleet: audience } = fleet.current.ftp1.answer;
  return {
    iss: hostId,
    aud: audience,
    iat: now,
    exp: now + 60,
    jti: randomUUID(),
    htm: "POST",
    htu: path,
    bsh: "x",
  };
};

test("a request without a signature (alg none) is refused", async () => {
  const token = new UnsecuredJWT(claims()).encode();
  expect(await pollWith(token)).toMatchObject({ status: 401, body: { code: "not-authenticated" } });
});

test("a request signed with HS256 and the public key as secret is refused", async () => {
  const publicPem = createPublicKey(fleet.current.ftp1.signingKey).export({
    type: "spki",
    format: "pem",
  });
  const token = await new SignJWT(claims())
    .setProtectedHeader({ alg: "HS256", typ: tokenTypes.agent })
    .sign(Buffer.from(publicPem));
  expect(await pollWith(token)).toMatchObject({ status: 401, body: { code: "not-authenticated" } });
});

test("a request signed for another path, method or body is refused", async () => {
  const { ftp1 } = fleet.current;
  const other = await ftp1.sign({ method: "POST", path: "/v1/other", body });
  expect((await pollWith(other)).body.detail).toContain("another request");
  const get = await ftp1.sign({ method: "GET", path, body });
  expect((await pollWith(get)).body.detail).toContain("another request");
  const good = await ftp1.sign({ method: "POST", path, body });
  expect((await pollWith(good, `${body} `)).body.detail).toContain("another body");
  expect((await pollWith(good)).status).toBe(200);
});

test("a request signed by another host's key is refused", async () => {
  const { ftp1, ftp2 } = fleet.current;
  const token = await ftp2.sign({
    method: "POST",
    path,
    body,
    claims: { iss: ftp1.answer.hostId },
  });
  expect(await pollWith(token)).toMatchObject({ status: 401, body: { code: "not-authenticated" } });
});

test("a request for another fleet is refused", async () => {
  const token = await fleet.current.ftp1.sign({
    method: "POST",
    path,
    body,
    claims: { aud: "other" },
  });
  expect(await pollWith(token)).toMatchObject({ status: 401, body: { code: "not-authenticated" } });
});

test.each([-600, 600])(
  "a clock that is %i seconds off gets its own error and the server's time",
  async (skew) => {
    const now = Math.floor(Date.now() / 1000) + skew;
    const token = await fleet.current.ftp1.sign({
      method: "POST",
      path,
      body,
      claims: { iat: now, exp: now + 60 },
    });
    const answer = await pollWith(token);
    expect(answer).toMatchObject({ status: 401, body: { code: "clock-skew" } });
    expect(Math.abs(Date.parse(answer.body.serverTime) - Date.now())).toBeLessThan(60_000);
  },
);

test("a revoked agent is told so, gets no work, and can be invited again", async () => {
  const { operate, ftp1 } = fleet.current;
  expect((await operate("POST", "/v1/hosts/ftp1/revoke")).body.state).toBe("revoked");
  expect(await ftp1.request("POST", path, JSON.parse(body))).toMatchObject({
    status: 401,
    body: { code: "agent-revoked" },
  });
  const users = await fleet.current.master.request("GET", "/v1/agent/daemon-users");
  expect(users.body.users.map(({ name }: any) => name)).toEqual(["ftp2"]);
  const invited = await operate("POST", "/v1/hosts/ftp1/enrolment-tokens");
  expect(invited.status).toBe(201);
});

test("an enrolment token works once, not after it was taken back, and not after an hour", async () => {
  const { app, operate, clock } = fleet.current;
  const keys = {
    signingKey: { kty: "OKP", crv: "Ed25519", x: "A".repeat(43) },
    sealingKey: { kty: "OKP", crv: "X25519", x: "A".repeat(43) },
  };
  const enrolWith = async (token: string) => {
    const response = await app.request("/v1/enrol", {
      method: "POST",
      body: JSON.stringify({ token, ...keys }),
    });
    return { status: response.status, body: (await response.json()) as any };
  };
  const first = (
    await operate("POST", "/v1/hosts", { name: "ftp3", roles: ["ftp"], addresses: ["192.0.2.3"] })
  ).body.enrolment.token;
  expect((await enrolWith(first)).status).toBe(201);
  expect(await enrolWith(first)).toMatchObject({
    status: 401,
    body: { code: "enrolment-token-invalid" },
  });
  const taken = (await operate("POST", "/v1/hosts/ftp3/enrolment-tokens")).body.enrolment.token;
  expect((await operate("DELETE", "/v1/hosts/ftp3/enrolment-tokens")).body).toEqual({ ended: 1 });
  expect((await enrolWith(taken)).body.code).toBe("enrolment-token-invalid");
  const late = (await operate("POST", "/v1/hosts/ftp3/enrolment-tokens")).body.enrolment.token;
  clock.offsetSeconds = 3700;
  expect(await enrolWith(late)).toMatchObject({
    status: 401,
    body: { code: "enrolment-token-invalid" },
  });
});

test("a viewer may read, and neither trigger nor invite", async () => {
  const { operate, ctx } = fleet.current;
  await createProject(fleet.current);
  const { token: viewer } = await createOperatorToken(ctx, { name: "viewer", scope: "viewer" });
  expect((await operate("GET", "/v1/projects", undefined, viewer)).status).toBe(200);
  expect(await operate("POST", "/v1/projects/debian/sync", undefined, viewer)).toMatchObject({
    status: 403,
    body: { code: "forbidden" },
  });
  expect((await operate("POST", "/v1/hosts", undefined, viewer)).status).toBe(403);
});

test("only the order's own task token may report on its attempt", async () => {
  await createProject(fleet.current);
  const run = await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  const other = await enrolAgent(fleet.current, { name: "ftp9", role: "ftp" });
  const agentToken = await other.sign({
    method: "POST",
    path: `/v1/tasks/${lease.taskId}/result`,
    body: "",
  });
  for (const token of [agentToken, "x", new UnsecuredJWT({ sub: lease.taskId }).encode()]) {
    expect(
      (await report(fleet.current, { ...lease, token, kind: "result", body: testResult() })).status,
    ).toBe(401);
  }
  const foreign = await report(fleet.current, {
    taskId: randomUUID(),
    token: lease.token,
    kind: "result",
    body: testResult(),
  });
  expect(foreign).toMatchObject({ status: 403, body: { code: "forbidden" } });
  expect((await readRun(fleet.current, run)).tasks[0].state).toBe("leased");
});
