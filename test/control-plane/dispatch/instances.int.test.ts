import { randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { evaluateAlerts } from "../../../control-plane/alerts/evaluate.ts";
import type { Instance } from "../../../protocol/instance.ts";
import { enrolAgent, report, testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, trigger, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

const instanceOf = (machine: string): Instance => ({
  id: randomUUID(),
  machine,
  machineId: "0123456789ab",
  bootId: randomUUID(),
});

/** A process with the host's key: it says what it was asked for, as an agent does. */
function processOf(agent: typeof fleet.current.master, machine: string) {
  const instance = instanceOf(machine);
  let confirm: string | undefined;
  return async (input: { waitSeconds?: number } = {}) => {
    const answer: any = await agent.poll({ ...input, instance, ...(confirm && { confirm }) });
    confirm = answer.confirm;
    return answer;
  };
}

const hostOf = async (name: string) =>
  (await fleet.current.operate("GET", `/v1/hosts/${name}`)).body;

/** A host whose key is in two places, which both have polled: it is in quarantine. */
async function clone() {
  const { master } = fleet.current;
  const [one, copy] = [processOf(master, "master"), processOf(master, "copy")];
  for (let round = 0; round < 6; round++) {
    await copy();
    const last = await one();
    if (last.code) return { one, copy, last };
  }
  throw new Error("the clone was not noticed");
}

test("a cloned host is quarantined: it gets no lease, both are told why, and it is on record", async () => {
  await createProject(fleet.current);
  const { one, copy, last } = await clone();
  expect(last).toMatchObject({ status: 409, code: "host-quarantined" });
  for (const part of [
    /master \(machine 0123/,
    /copy \(machine 0123/,
    /host release master.*--replace/,
  ])
    expect(last.detail).toMatch(part);
  await trigger(fleet.current);
  for (const poll of [one, copy])
    expect(await poll()).toMatchObject({ status: 409, code: "host-quarantined" });
  // Also one that does not say which process it is.
  expect(await fleet.current.master.poll()).toMatchObject({ code: "host-quarantined" });
  const host = await hostOf("master");
  expect(host).toMatchObject({
    state: "quarantined",
    quarantine: { reason: expect.stringContaining("copy (machine") },
  });
  const { operate } = fleet.current;
  const { body: audit } = await operate("GET", "/v1/audit-events?action=quarantineHost");
  expect(audit.items).toMatchObject([{ actor: "control plane", target: "/v1/hosts/master" }]);
  await evaluateAlerts(fleet.current.ctx);
  const { body: alerts } = await operate("GET", "/v1/alerts?condition=cloned");
  expect(alerts.items).toMatchObject([{ host: "master", detail: expect.stringContaining("copy") }]);
});

test("what a cloned host runs already ends as it would", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const first = processOf(fleet.current.master, "master");
  const lease = openLease(await first());
  await clone();
  expect((await hostOf("master")).state).toBe("quarantined");
  const beat = await report(fleet.current, {
    ...lease,
    kind: "heartbeat",
    body: { progress: null },
  });
  expect(beat).toMatchObject({ status: 200, body: { cancel: false } });
  const ended = await report(fleet.current, { ...lease, kind: "result", body: testResult() });
  expect(ended.status).toBe(200);
});

test("released, the agent that is left goes on; a copy that still lives brings the quarantine back", async () => {
  const { operate } = fleet.current;
  const { one, copy } = await clone();
  const released = await operate("POST", "/v1/hosts/master/release");
  expect(released.body).toMatchObject({ state: "enrolled", quarantine: null });
  expect(await one()).toMatchObject({ lease: null });
  expect(await one()).not.toHaveProperty("confirm");
  const said = [];
  for (let round = 0; round < 3; round++) said.push(await copy(), await one());
  expect(said.map(({ code }) => code)).toContain("host-quarantined");
});

test("joined again with a new key, the host is in quarantine no more, and the old key is out", async () => {
  const { operate, ctx, app } = fleet.current;
  const { one } = await clone();
  await ctx.db.execute(sql`update hosts set name = 'old-master' where name = 'master'`);
  // The helper makes hosts: the same as an invitation, for this purpose, is its token for the row that is there.
  const { body } = await operate("POST", "/v1/hosts/old-master/enrolment-tokens");
  const again = await enrolAgent(
    { app, operate: async () => ({ body }) },
    { name: "old-master", role: "master" },
  );
  expect((await hostOf("old-master")).state).toBe("enrolled");
  expect(await processOf(again, "new")()).toMatchObject({ lease: null });
  expect(await one()).toMatchObject({ status: 401, code: "not-authenticated" });
});

test("a process that another one has replaced while its poll was held gets no lease for it", async () => {
  await createProject(fleet.current);
  const { master } = fleet.current;
  const [one, next] = [processOf(master, "master"), processOf(master, "master")];
  await one();
  const held = one({ waitSeconds: 20 });
  await next();
  await next();
  await trigger(fleet.current);
  expect(openLease(await next()).sync.project).toBe("debian");
  // It was woken when it was replaced: not after its 20 seconds.
  expect(await held).toMatchObject({ lease: null });
});

test("several that poll at once are found; one that starts anew a hundred times, polling twice at once, is not", async () => {
  const { master, ftp1 } = fleet.current;
  const pollers = Array.from({ length: 4 }, (_, index) => processOf(master, `m${index}`));
  for (let round = 0; round < 12; round++) await Promise.all(pollers.map((poll) => poll()));
  expect((await hostOf("master")).state).toBe("quarantined");
  for (let start = 0; start < 100; start++) {
    const poll = processOf(ftp1, "ftp1");
    await Promise.all([poll(), poll()]);
    await poll();
  }
  expect((await hostOf("ftp1")).state).toBe("enrolled");
});

test("agents of protocol 1, which do not say which process they are, are served as before", async () => {
  const { ftp1 } = fleet.current;
  expect(await ftp1.poll()).toMatchObject({ lease: null });
  await processOf(ftp1, "ftp1")();
  expect(await ftp1.poll()).toMatchObject({ lease: null });
});

test("a poll that says nothing new writes nothing, until it is worth a write that the host is there", async () => {
  const { ctx, ftp1 } = fleet.current;
  const poll = processOf(ftp1, "ftp1");
  // The first meets the process, the second is its confirmation.
  for (let round = 0; round < 2; round++) await poll();
  const version = async () =>
    (await ctx.db.execute(sql`select xmin::text, last_seen_at from hosts where name = 'ftp1'`))
      .rows[0];
  const known = await version();
  await poll();
  expect(await version()).toEqual(known);
  await ctx.db.execute(sql`
    update hosts set last_seen_at = now() - interval '11 seconds' where name = 'ftp1'`);
  const before = await version();
  await poll();
  expect(await version()).not.toEqual(before);
  await ftp1.poll({ facts: { rsyncVersion: "3.4.1", roots: [], quarantineDays: 0 } });
  expect((await hostOf("ftp1")).rsyncVersion).toBe("3.4.1");
});
