import { randomBytes } from "node:crypto";
import { sql } from "drizzle-orm";
import { decodeProtectedHeader } from "jose";
import { expect, test } from "vitest";
import { verifyKeys } from "../../../agent/follow-keys.ts";
import type { Identity } from "../../../agent/identity.ts";
import { deriveSecrets } from "../../../control-plane/auth/secrets.ts";
import { openFleet } from "../../../control-plane/auth/task-keys.ts";
import { createProject, openLease, trigger, useFleet } from "../../helpers/fleet.ts";
import { report, testResult } from "../../helpers/control-plane.ts";

const fleet = useFleet();

const keys = async () => (await fleet.current.operate("GET", "/v1/task-keys")).body.items;
const rotate = () => fleet.current.operate("POST", "/v1/task-keys/rotate");
const published = async () => {
  const response = await fleet.current.app.request("/.well-known/jwks.json");
  return ((await response.json()) as any).keys.map(({ kid }: any) => kid);
};

test("a new key is published before it is used, and the old one is pinned until its last order has expired", async () => {
  const { clock } = fleet.current;
  const [first] = await keys();
  expect((await rotate()).status).toBe(201);
  const [, second] = await keys();
  expect((await keys()).map(({ state }: any) => state)).toEqual(["in use", "to come"]);
  expect(await published()).toEqual([first.kid, second.kid]);
  expect((await rotate()).status).toBe(409);
  clock.offsetSeconds = 700;
  expect((await keys()).map(({ state }: any) => state)).toEqual(["replaced", "in use"]);
  expect(await published()).toEqual([first.kid, second.kid]);
  clock.offsetSeconds = 1600;
  expect(await published()).toEqual([second.kid]);
});

test("orders are signed with the key in use, and reports on an order of the old key are taken", async () => {
  const { clock, master } = fleet.current;
  await createProject(fleet.current);
  await trigger(fleet.current);
  const answer = await master.poll();
  const before = openLease(answer);
  const { kid: old } = decodeProtectedHeader(answer.lease!.order);
  await rotate();
  clock.offsetSeconds = 700;
  const result = await report(fleet.current, { ...before, kind: "result", body: testResult() });
  expect(result.status).toBe(200);
  const next = await fleet.current.ftp1.poll();
  expect(decodeProtectedHeader(next.lease!.order).kid).not.toBe(old);
});

async function follow(pinned: string[]) {
  const { ftp1 } = fleet.current;
  return ftp1.request("POST", "/v1/agent/task-keys", { pinned });
}

test("an agent that has pinned an old key alone is given the new one, vouched for by the old", async () => {
  const { ftp1, clock } = fleet.current;
  const { kid } = ftp1.answer.jwks.keys[0]!;
  await rotate();
  clock.offsetSeconds = 10_000;
  const { body } = await follow([kid]);
  const identity = { ...ftp1.answer, controlPlane: "" } as unknown as Identity;
  const jwks = await verifyKeys({ identity, now: Date.now() / 1000 }, { token: body.token });
  expect(jwks.keys.map((key) => key.kid)).toEqual(await published());
  expect(jwks.keys[0]!.kid).not.toBe(kid);
});

test("keys for another host, or vouched for by a key that is not pinned, are refused by the agent", async () => {
  const { ftp1, ftp2 } = fleet.current;
  const { body } = await follow(ftp1.answer.jwks.keys.map(({ kid }) => kid));
  const now = Date.now() / 1000;
  const other = { ...ftp2.answer, controlPlane: "" } as unknown as Identity;
  await expect(verifyKeys({ identity: other, now }, body)).rejects.toThrow("has pinned");
  const stranger = {
    ...ftp1.answer,
    jwks: { keys: [{ ...ftp1.answer.jwks.keys[0]!, x: "A".repeat(43) }] },
  } as unknown as Identity;
  await expect(verifyKeys({ identity: stranger, now }, body)).rejects.toThrow("has pinned");
  expect((await follow(["unknown"])).status).toBe(409);
});

test("private keys are not in the database in the clear, and a database is not served with another secret", async () => {
  const { ctx } = fleet.current;
  await rotate();
  const {
    rows: [row],
  } = await ctx.db.execute<{ private_key: string }>(sql`select private_key from task_keys`);
  expect(row!.private_key.split(".")).toHaveLength(5);
  await expect(
    openFleet({ ...ctx, secrets: deriveSecrets({ secret: randomBytes(32) }) }),
  ).rejects.toThrow("the secret differs");
});
