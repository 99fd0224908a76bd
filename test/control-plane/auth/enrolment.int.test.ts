import { decodeJwt, generateKeyPair, importJWK, SignJWT } from "jose";
import { expect, test } from "vitest";
import { invitationKey, verifyJoinAnswer } from "../../../agent/join-request.ts";
import { enrolmentTokens } from "../../../control-plane/db/schema/hosts.ts";
import { parseEnrolmentToken } from "../../../protocol/enrolment.ts";
import { tokenTypes } from "../../../protocol/order.ts";
import { useFleet } from "../../helpers/fleet.ts";
import { enrolment, hostKeys, joinRequest } from "../../helpers/right-inputs.ts";

const fleet = useFleet();

async function invite(): Promise<string> {
  const { body } = await fleet.current.operate("POST", "/v1/hosts/ftp1/enrolment-tokens");
  return body.enrolment.token;
}

async function post(path: string, sent: unknown) {
  const response = await fleet.current.app.request(path, {
    method: "POST",
    body: JSON.stringify(sent),
  });
  return { status: response.status, body: (await response.json()) as any };
}

const joinWith = async (token: string, keys = hostKeys()) =>
  post("/v1/join", { request: await joinRequest(token, keys) });

const fingerprintOf = (token: string) => parseEnrolmentToken(token)!.fingerprint!;
const refused = { status: 401, body: { code: "enrolment-token-invalid" } };

test("a token's fingerprint is that of the key in use, and the answer is signed by it for this host's key", async () => {
  const token = await invite();
  expect(fingerprintOf(token)).toBe(fleet.current.ctx.secrets.fleet);
  const keys = hostKeys();
  const { status, body } = await joinWith(token, keys);
  expect(status).toBe(201);
  const fingerprint = fingerprintOf(token);
  const answer = await verifyJoinAnswer({ body, fingerprint, keys });
  expect(answer).toMatchObject({
    host: "ftp1",
    roles: ["ftp"],
    fleet: fleet.current.ctx.secrets.fleet,
  });
  // Another host's answer, and one of another control plane, are none for it.
  const stranger = { code: "not-authenticated" };
  await expect(verifyJoinAnswer({ body, fingerprint, keys: hostKeys() })).rejects.toMatchObject(
    stranger,
  );
  const other = "A".repeat(43);
  await expect(verifyJoinAnswer({ body, fingerprint: other, keys })).rejects.toMatchObject(
    stranger,
  );
});

test("the token works once: sent again with the same keys it answers the same host, with others it is refused", async () => {
  const token = await invite();
  const keys = hostKeys();
  const first = await joinWith(token, keys);
  const again = await joinWith(token, keys);
  expect(again.status).toBe(201);
  expect(decodeJwt(again.body.answer)["hostId"]).toBe(decodeJwt(first.body.answer)["hostId"]);
  expect(await joinWith(token)).toMatchObject(refused);
  const { body } = await fleet.current.operate(
    "GET",
    "/v1/audit-events?action=enrol&target=/v1/hosts/ftp1",
  );
  // One of the helper's, and one of these.
  expect(body.items).toHaveLength(2);
  await fleet.current.operate("POST", "/v1/hosts/ftp1/revoke");
  expect(await joinWith(token, keys)).toMatchObject(refused);
});

test("a token that is expired, or was taken back, is refused", async () => {
  const taken = await invite();
  await fleet.current.operate("DELETE", "/v1/hosts/ftp1/enrolment-tokens");
  expect(await joinWith(taken)).toMatchObject(refused);
  const late = await invite();
  fleet.current.clock.offsetSeconds = 3700;
  expect(await joinWith(late)).toMatchObject(refused);
});

test("a host that was revoked does not come back by an invitation of before", async () => {
  const token = await invite();
  await fleet.current.operate("POST", "/v1/hosts/ftp1/revoke");
  expect(await joinWith(token)).toMatchObject(refused);
  expect((await joinWith(await invite())).status).toBe(201);
});

test("task keys that are rotated between invitation and joining change nothing for the joining", async () => {
  const token = await invite();
  const { operate, clock } = fleet.current;
  await operate("POST", "/v1/task-keys/rotate");
  // In use, and the one before no longer pinned.
  clock.offsetSeconds = 1800;
  const keys = hostKeys();
  const { body } = await joinWith(token, keys);
  const answer = await verifyJoinAnswer({ body, fingerprint: fingerprintOf(token), keys });
  expect(answer.jwks.keys.map(({ kid }) => kid)).not.toContain(fingerprintOf(token));
  expect(fingerprintOf(await invite())).toBe(answer.jwks.keys[0]!.kid);
});

test("a token that names a key this control plane has not is refused with the cure, and not used up", async () => {
  const token = await invite();
  const { bare } = parseEnrolmentToken(token)!;
  expect(await joinWith(`${bare}.${"A".repeat(43)}`)).toMatchObject({
    status: 409,
    body: { code: "conflict", detail: expect.stringContaining("invite the host again") },
  });
  expect((await joinWith(token)).status).toBe(201);
});

test("neither the database's reader nor a listener can join with what he has", async () => {
  const token = await invite();
  const rows = await fleet.current.ctx.db.select().from(enrolmentTokens);
  const stored = JSON.stringify(rows) + rows.map(({ hash }) => hash.toString("base64url")).join();
  expect(stored).not.toContain(parseEnrolmentToken(token)!.seed);
  const heard = await joinRequest(token);
  expect(heard).not.toContain(parseEnrolmentToken(token)!.seed);
  // His own keys under the listener's own signature, with the invitation's public key in the header.
  const { d: _, ...jwk } = invitationKey(parseEnrolmentToken(token)!.seed);
  const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519" });
  const forged = await new SignJWT({ ...decodeJwt(await joinRequest(token)) })
    .setProtectedHeader({ alg: "EdDSA", typ: tokenTypes.join, jwk })
    .sign(privateKey);
  expect(await post("/v1/join", { request: forged })).toMatchObject(refused);
  // An invitation's key signs nothing but join requests.
  const otherKind = await new SignJWT({ ...decodeJwt(heard) })
    .setProtectedHeader({ alg: "EdDSA", typ: tokenTypes.agent, jwk })
    .sign(await importJWK(invitationKey(parseEnrolmentToken(token)!.seed), "EdDSA"));
  expect(await post("/v1/join", { request: otherKind })).toMatchObject(refused);
  expect((await post("/v1/join", { request: heard })).status).toBe(201);
});

test("an agent of protocol 1 enrols with a token that has a fingerprint, which it sends along", async () => {
  const token = await invite();
  expect((await post("/v1/enrol", enrolment(token))).status).toBe(201);
  expect(await post("/v1/enrol", enrolment(token))).toMatchObject(refused);
});
