import { randomUUID } from "node:crypto";
import { decodeJwt } from "jose";
import { expect, test } from "vitest";
import { materialiseDue } from "../../../control-plane/schedule/materialise.ts";
import type { StandingClaims, StandingRun } from "../../../protocol/standing.ts";
import { type TestAgent, testResult } from "../../helpers/control-plane.ts";
import {
  createProject,
  listRuns,
  openLease,
  readRun,
  trigger,
  useFleet,
  work,
} from "../../helpers/fleet.ts";

const fleet = useFleet();

const ordersOf = async (agent: TestAgent) => {
  const { body } = await agent.request("GET", "/v1/agent/standing-orders");
  return (body.orders as string[]).map((order) => ({
    order,
    claims: decodeJwt<StandingClaims>(order) as StandingClaims,
  }));
};

/** What a poll says of the agent's standing orders. */
const versionOf = async (agent: TestAgent, standingVersion: string | null = null) => {
  const { body } = await agent.request("POST", "/v1/agent/poll", {
    pollId: randomUUID(),
    agentVersion: "test",
    waitSeconds: 0,
    daemonUsersVersion: null,
    daemonPort: agent === fleet.current.master ? 8873 : null,
    roots: [{ path: "/srv/mirror", module: agent === fleet.current.master ? "mirror" : null }],
    standingVersion,
  });
  return body.standingVersion as string;
};

const reportRun = (
  agent: TestAgent,
  {
    order,
    at,
    result = {},
  }: { order: string; at: number; result?: Partial<StandingRun["result"]> },
) => {
  const time = new Date(at * 1000).toISOString();
  const body = { order, scheduledFor: time, startedAt: time, result: testResult(result) };
  return agent.request("POST", "/v1/agent/standing-runs", body);
};

/** A project with an hourly schedule that the master has pulled, and ftp1 has. */
async function begin() {
  const { master, ftp1 } = fleet.current;
  await createProject(fleet.current, { schedule: "0 * * * *", hosts: ["ftp1"] });
  await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  await work(fleet.current, { agent: ftp1, result: { scanned: true } });
  const [[masters], [hosts]] = [await ordersOf(master), await ordersOf(ftp1)];
  return { masters: masters!, hosts: hosts! };
}

const standingRuns = async () =>
  (await listRuns(fleet.current)).filter((run: any) => run.trigger === "standing");
const projectOf = async () => (await fleet.current.operate("GET", "/v1/projects/debian")).body;

test("a standing order names the schedule's times, a scan from the master for its hosts, and nothing approved", async () => {
  const { masters, hosts } = await begin();
  const { occurrences, exp, iat } = masters.claims;
  expect(exp - iat).toBe(7 * 86_400);
  expect(occurrences).toHaveLength(168);
  expect(occurrences.every((at) => at % 3600 === 0 && at > iat && at <= exp)).toBe(true);
  expect(masters.claims).toMatchObject({
    aud: fleet.current.master.answer.hostId,
    role: "master",
    delaySeconds: 0,
    sync: { publish: null, carry: null, limits: { approvedDeletions: null } },
  });
  expect(hosts.claims).toMatchObject({ role: "ftp", delaySeconds: 1800, occurrences });
  const [source] = hosts.claims.sync.steps[0]!.sources;
  expect(source).toMatchObject({ source: { host: "127.0.0.1", port: 8873, user: "ftp1" } });
  expect(await fleet.current.ftp1.open(source!.sealedPassword!)).toMatch(/^[\w-]{43}$/);
});

test("their version changes with what they say; what is paused, drained or switched off has none", async () => {
  await begin();
  const { master, ftp1, operate } = fleet.current;
  const first = await versionOf(ftp1);
  expect(await versionOf(ftp1, first)).toBe(first);
  await operate("PATCH", "/v1/projects/debian", { maxDeletePercent: 20 });
  expect(await versionOf(ftp1, first)).not.toBe(first);
  const count = async () => [await ordersOf(master), await ordersOf(ftp1)].map((all) => all.length);
  for (const [stop, go] of [
    ["/v1/projects/debian/pause", "/v1/projects/debian/resume"],
    ["/v1/settings/pause", "/v1/settings/resume"],
  ] as const) {
    expect(await count()).toEqual([1, 1]);
    await operate("POST", stop, {});
    expect(await count()).toEqual([0, 0]);
    expect(await versionOf(ftp1)).toBe("none");
    await operate("POST", go);
  }
  await operate("POST", "/v1/projects/debian/replicas/ftp1/pause");
  expect(await count()).toEqual([1, 0]);
  await operate("POST", "/v1/hosts/master/drain");
  expect(await count()).toEqual([0, 0]);
  await operate("POST", "/v1/hosts/master/resume");
  await operate("PATCH", "/v1/settings", { standingOrders: false });
  expect(await count()).toEqual([0, 0]);
});

test("what hosts did becomes one run an occurrence, reported any number of times", async () => {
  const { masters, hosts } = await begin();
  const { master, ftp1 } = fleet.current;
  const at = masters.claims.occurrences[0]!;
  const first = await reportRun(master, { order: masters.order, at });
  expect(first.status).toBe(200);
  const again = await reportRun(master, { order: masters.order, at });
  expect(again.body).toMatchObject({ taskId: first.body.taskId, attempt: 1 });
  await reportRun(ftp1, { order: hosts.order, at, result: { outcome: "retryable", exitCode: 10 } });
  const [run, ...more] = await standingRuns();
  expect(more).toEqual([]);
  expect(await readRun(fleet.current, run)).toMatchObject({
    state: "failed",
    reason: "failed on ftp1",
    scheduledFor: new Date(at * 1000).toISOString(),
    tasks: [
      { host: "master", state: "succeeded", attempt: 1 },
      { host: "ftp1", state: "failed", attempt: 1 },
    ],
  });
  const log = await fleet.current.app.request(`/v1/tasks/${first.body.taskId}/log?offset=0`, {
    method: "POST",
    headers: { authorization: `Bearer ${first.body.taskToken}` },
    body: "a line\n",
  });
  expect(await log.json()).toMatchObject({ nextOffset: 7 });
});

test("what a master pulled by itself is published by its next regular pull, and the hosts compare whole trees", async () => {
  const { masters } = await begin();
  const { master, ftp1 } = fleet.current;
  await reportRun(master, { order: masters.order, at: masters.claims.occurrences[0]! });
  expect((await projectOf()).generation).toBe(1);
  await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { changes: 0 } });
  expect((await projectOf()).generation).toBe(2);
  expect(openLease(await ftp1.poll()).sync.carry).toMatchObject({ generation: 2, lists: null });
});

test("an FTP host that scanned by itself gets no change list next", async () => {
  const { hosts } = await begin();
  const { master, ftp1 } = fleet.current;
  await reportRun(ftp1, { order: hosts.order, at: hosts.claims.occurrences[0]! });
  await trigger(fleet.current);
  const changeList = { generation: 2, digest: "a".repeat(64), entries: 1 };
  await work(fleet.current, { agent: master, result: { changeList } });
  expect(openLease(await ftp1.poll()).sync.carry).toMatchObject({ from: 1, lists: null });
});

test("an occurrence that the master has pulled by itself is not pulled again by the schedule", async () => {
  const { masters } = await begin();
  const { master, ctx, clock } = fleet.current;
  const at = masters.claims.occurrences[0]!;
  await reportRun(master, { order: masters.order, at });
  clock.offsetSeconds = at + 5 - Date.now() / 1000;
  await materialiseDue(ctx);
  expect((await listRuns(fleet.current)).map((run: any) => run.trigger).toSorted()).toEqual([
    "manual",
    "standing",
  ]);
  clock.offsetSeconds += 3600;
  await materialiseDue(ctx);
  expect((await listRuns(fleet.current))[0]).toMatchObject({ trigger: "schedule" });
});

test("a pull that the schedule has ordered, and that waits, is the one that the master has done", async () => {
  const { masters } = await begin();
  const { master, ftp1, ctx, clock } = fleet.current;
  const at = masters.claims.occurrences[0]!;
  clock.offsetSeconds = at + 5 - Date.now() / 1000;
  await materialiseDue(ctx);
  const [run] = await listRuns(fleet.current);
  const { body } = await reportRun(master, { order: masters.order, at });
  expect(await readRun(fleet.current, run)).toMatchObject({
    trigger: "schedule",
    state: "distributing",
    generation: 2,
    tasks: [{ id: body.taskId, state: "succeeded", attempt: 1 }, { host: "ftp1" }],
  });
  expect((await master.poll()).lease).toBeNull();
  expect(openLease(await ftp1.poll()).sync.carry).toMatchObject({ generation: 2, lists: null });
  expect(await standingRuns()).toEqual([]);
});

test("a project that a host works on by itself is not leased to it", async () => {
  await begin();
  const { master } = fleet.current;
  await trigger(fleet.current);
  const poll = (busy: string[]) =>
    master.request("POST", "/v1/agent/poll", {
      pollId: randomUUID(),
      agentVersion: "test",
      waitSeconds: 0,
      daemonUsersVersion: null,
      daemonPort: 8873,
      roots: [{ path: "/srv/mirror", module: "mirror" }],
      busy,
    });
  expect((await poll(["debian"])).body.lease).toBeNull();
  expect((await poll(["fedora"])).body.lease).not.toBeNull();
});

test("another host's order, a time that it does not name, and one that was not signed are refused", async () => {
  const { masters, hosts } = await begin();
  const { ftp1 } = fleet.current;
  const at = hosts.claims.occurrences[0]!;
  expect(await reportRun(ftp1, { order: masters.order, at })).toMatchObject({
    body: { code: "order-refused" },
  });
  expect(await reportRun(ftp1, { order: hosts.order, at: at + 60 })).toMatchObject({
    body: { code: "invalid-input", errors: [{ field: "scheduledFor" }] },
  });
  const [head, claims] = hosts.order.split(".");
  const forged = `${head}.${claims}.${"A".repeat(86)}`;
  expect(await reportRun(ftp1, { order: forged, at })).toMatchObject({
    body: { code: "order-refused" },
  });
  expect(await standingRuns()).toEqual([]);
});

test("what hosts did by themselves makes them fresh, and with the master what is published where nothing was new", async () => {
  const { masters, hosts } = await begin();
  const { master, ftp1, clock } = fleet.current;
  const [first, second, third, fourth] = masters.claims.occurrences;
  clock.offsetSeconds += 5 * 3600;
  const fresh = async () =>
    (await projectOf()).replicas.map(({ freshAt }: any) => Date.parse(freshAt) / 1000);
  const byMaster = (at: number, result: object) =>
    reportRun(master, { order: masters.order, at, result });
  await byMaster(first!, { changes: 0 });
  expect(await fresh()).toEqual([first, first]);
  await byMaster(second!, { changes: 1 });
  expect(await fresh()).toEqual([second, first]);
  // Its tree has news that are not published: that it has none more says nothing of what is.
  await byMaster(third!, { changes: 0 });
  expect(await fresh()).toEqual([third, first]);
  await reportRun(ftp1, { order: hosts.order, at: fourth!, result: { outcome: "fatal" } });
  expect(await fresh()).toEqual([third, first]);
  await reportRun(ftp1, { order: hosts.order, at: third! });
  expect(await fresh()).toEqual([third, third]);
});

test("a host whose clock is ahead makes nothing fresher than now", async () => {
  const { masters } = await begin();
  const { master } = fleet.current;
  const at = masters.claims.occurrences.at(-1)!;
  await reportRun(master, { order: masters.order, at, result: { changes: 0 } });
  const [{ freshAt }] = (await projectOf()).replicas;
  expect(Date.parse(freshAt)).toBeLessThanOrEqual(Date.now() + 1000);
});

test("a time that no database can hold is refused by its name", async () => {
  const { masters } = await begin();
  const [at] = masters.claims.occurrences;
  const answer = await fleet.current.master.request("POST", "/v1/agent/standing-runs", {
    order: masters.order,
    scheduledFor: new Date(at! * 1000).toISOString(),
    startedAt: "0000-01-01T00:00:00Z",
    result: testResult({}),
  });
  expect(answer).toMatchObject({
    body: { code: "invalid-input", errors: [{ field: "startedAt" }] },
  });
});

test("a run that hosts did by themselves is counted, again where a later report changes its end", async () => {
  const { masters, hosts } = await begin();
  const { master, ftp1, app, admin } = fleet.current;
  const at = masters.claims.occurrences[0]!;
  await reportRun(master, { order: masters.order, at });
  await reportRun(ftp1, { order: hosts.order, at, result: { outcome: "fatal" } });
  const headers = { authorization: `Bearer ${admin}` };
  const text = await (await app.request("/metrics", { headers })).text();
  const lines = text.split("\n").filter((line) => line.startsWith("mirrorfleet_runs_total{"));
  expect(lines).toEqual([
    'mirrorfleet_runs_total{project="debian",state="cancelled"} 0',
    'mirrorfleet_runs_total{project="debian",state="failed"} 1',
    'mirrorfleet_runs_total{project="debian",state="skipped"} 0',
    'mirrorfleet_runs_total{project="debian",state="succeeded"} 2',
  ]);
});
