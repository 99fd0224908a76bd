import { randomUUID } from "node:crypto";
import { decodeJwt } from "jose";
import { expect, test } from "vitest";
import type { StandingClaims } from "../../../protocol/standing.ts";
import type { TestAgent } from "../../helpers/control-plane.ts";
import { createProject, trigger, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();

const keySha256 = "ab".repeat(32);
/** What an agent says of its machine; `undefined` for one that knows no keys of masters. */
const facts = (daemonKeySha256?: string | null) => ({
  facts: {
    rsyncVersion: "3.2.7",
    roots: [],
    ...(daemonKeySha256 !== undefined && { tls: { daemonKeySha256 } }),
  },
});

/** The source of the order that an agent is given for the next sync. */
async function sourceFor(agent: TestAgent, more: object = {}) {
  const { master } = fleet.current;
  await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  const { lease } = await agent.poll(more);
  return decodeJwt<any>(lease!.order).sync.steps[0].sources[0].source;
}

test("FTP hosts are told the key that their master has said, and the operator sees it", async () => {
  const { master, ftp1, operate } = fleet.current;
  await createProject(fleet.current, { hosts: ["ftp1"] });
  await master.poll(facts(keySha256));
  // Said with the very poll that brings the order.
  expect(await sourceFor(ftp1, facts(null))).toMatchObject({ port: 8873, tls: { keySha256 } });
  expect((await operate("GET", "/v1/hosts/master")).body.daemon).toEqual({ port: 8873, keySha256 });
  expect((await operate("GET", "/v1/hosts/ftp1")).body.daemon).toBeNull();
});

test.each([
  ["master is older than that", undefined, null],
  ["master serves plain rsync", null, null],
  ["FTP host is older than that", keySha256, undefined],
])("where the %s, the order is for plain rsync", async (_, ofMaster, ofHost) => {
  const { master, ftp1 } = fleet.current;
  await createProject(fleet.current, { hosts: ["ftp1"] });
  await master.poll(facts(ofMaster));
  expect(await sourceFor(ftp1, facts(ofHost))).not.toHaveProperty("tls");
});

test("standing orders name the key, and are made anew when the master has another", async () => {
  const { master, ftp1 } = fleet.current;
  await createProject(fleet.current, { hosts: ["ftp1"], schedule: "0 * * * *" });
  await master.poll(facts(keySha256));
  await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  await ftp1.poll(facts(null));
  const version = async () => {
    const poll = { pollId: randomUUID(), standingVersion: null };
    return (await ftp1.poll(poll)).standingVersion;
  };
  const tlsOfOrder = async () => {
    const { body } = await ftp1.request("GET", "/v1/agent/standing-orders");
    const claims: StandingClaims = decodeJwt(body.orders[0]);
    return claims.sync.steps[0]!.sources[0]!.source.tls;
  };
  const before = await version();
  expect(await tlsOfOrder()).toEqual({ keySha256 });
  expect(await version()).toBe(before);
  const next = "cd".repeat(32);
  await master.poll(facts(next));
  expect(await version()).not.toBe(before);
  expect(await tlsOfOrder()).toEqual({ keySha256: next });
});
