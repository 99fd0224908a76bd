import { generateKeyPairSync, randomUUID } from "node:crypto";
import { SignJWT, UnsecuredJWT } from "jose";
import { expect, test } from "vitest";
import { openSeenOrders, verifyOrder } from "../../agent/verify-order.ts";
import { tokenTypes } from "../../protocol/order.ts";
import { makeIdentity } from "../helpers/agent.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

async function makeAgent() {
  const stateDir = await temporaryDirectory();
  const fleet = await makeIdentity();
  const seen = await openSeenOrders({ stateDir });
  const verify = (order: string, now = Date.now() / 1000, orders = seen) =>
    verifyOrder({ identity: fleet.identity, seen: orders, now }, { order });
  return { ...fleet, stateDir, verify };
}

const refused = (message: string | RegExp) => ({
  code: "order-refused",
  message: expect.stringMatching(message),
});

test("a good order is taken, and says what to sync", async () => {
  const { verify, signOrder } = await makeAgent();
  expect(await verify(await signOrder())).toMatchObject({
    attempt: 1,
    sync: { project: "debian", steps: [{ destination: "debian" }] },
  });
});

test("an order for another host is refused, and names this one", async () => {
  const { verify, signOrder } = await makeAgent();
  await expect(verify(await signOrder({ aud: randomUUID() }))).rejects.toMatchObject(
    refused("for another host \\(this is ftp1\\)"),
  );
});

test("an order for several hosts is refused, also when this one is among them", async () => {
  const { verify, signOrder, identity } = await makeAgent();
  await expect(
    verify(await signOrder({ aud: [identity.hostId, randomUUID()] })),
  ).rejects.toMatchObject(refused("malformed|for one host"));
});

test("an order of another fleet is refused", async () => {
  const { verify, signOrder } = await makeAgent();
  await expect(verify(await signOrder({ iss: "other" }))).rejects.toMatchObject(
    refused("of another fleet"),
  );
});

test("an expired order is refused, beyond the tolerance for clocks", async () => {
  const { verify, signOrder } = await makeAgent();
  const order = await signOrder();
  await expect(verify(order, Date.now() / 1000 + 3600)).rejects.toMatchObject(refused("expired"));
  expect(await verify(order, Date.now() / 1000 + 100)).toBeTruthy();
});

test("an order is taken once, also after a restart of the agent", async () => {
  const { verify, signOrder, stateDir } = await makeAgent();
  const order = await signOrder();
  await verify(order);
  await expect(verify(order)).rejects.toMatchObject(refused("replayed"));
  const afterRestart = await openSeenOrders({ stateDir });
  await expect(verify(order, Date.now() / 1000, afterRestart)).rejects.toMatchObject(
    refused("replayed"),
  );
});

test("an order without a signature (alg none) is refused", async () => {
  const { verify, orderClaims } = await makeAgent();
  await expect(verify(new UnsecuredJWT(orderClaims()).encode())).rejects.toMatchObject(
    refused("not signed with EdDSA|signature is not valid"),
  );
});

test("an order signed with HS256 and the public key as secret is refused", async () => {
  const { verify, orderClaims, taskKey, kid } = await makeAgent();
  for (const format of ["pem", "der"] as const) {
    const secret = Buffer.from(
      format === "pem"
        ? taskKey.publicKey.export({ type: "spki", format })
        : taskKey.publicKey.export({ type: "spki", format }),
    );
    const order = await new SignJWT(orderClaims())
      .setProtectedHeader({ alg: "HS256", typ: tokenTypes.order, kid })
      .sign(secret);
    await expect(verify(order)).rejects.toMatchObject(refused("not signed with EdDSA"));
  }
});

test("an order signed with a key that is not pinned is refused, whatever key id it claims", async () => {
  const { verify, orderClaims, kid } = await makeAgent();
  const { privateKey } = generateKeyPairSync("ed25519");
  const sign = (header: Record<string, string>) =>
    new SignJWT(orderClaims())
      .setProtectedHeader({ alg: "EdDSA", typ: tokenTypes.order, ...header })
      .sign(privateKey);
  await expect(verify(await sign({ kid: "other" }))).rejects.toMatchObject(refused("has pinned"));
  await expect(verify(await sign({ kid }))).rejects.toMatchObject(
    refused("signature is not valid"),
  );
});

test("a task token or an agent's request is no order, though its signature is right", async () => {
  const { verify, signOrder } = await makeAgent();
  for (const typ of [tokenTypes.task, tokenTypes.agent, "JWT"])
    await expect(verify(await signOrder({}, { typ }))).rejects.toMatchObject(
      refused("not a task order"),
    );
});

test.each([
  ["a command beside the spec", { command: "reboot" }, {}],
  ["an unknown field in a step", {}, { shell: "sh" }],
  ["a destination that leaves the root", {}, { destination: "../etc" }],
  ["the mirror root itself as destination", {}, { destination: "" }],
  ["an absolute destination", {}, { destination: "/" }],
  ["a destination with NUL", {}, { destination: "a\0b" }],
])("an order with %s is refused though it is signed", async (_, change, stepChange) => {
  const { verify, signOrder, orderClaims } = await makeAgent();
  const { sync } = orderClaims();
  const steps = sync.steps.map((step) => ({ ...step, ...stepChange }));
  const order = await signOrder({ sync: { ...sync, steps, ...change } });
  await expect(verify(order)).rejects.toMatchObject(refused("malformed"));
});
