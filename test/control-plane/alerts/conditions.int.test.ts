import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { evaluateAlerts } from "../../../control-plane/alerts/evaluate.ts";
import { reclaimExpired } from "../../../control-plane/dispatch/reclaim.ts";
import { sampleDisks } from "../../../control-plane/db/queries/disk-samples.ts";
import { removeOld } from "../../../control-plane/retention.ts";
import { addReceiver, heard, openAlerts, stayAway } from "../../helpers/alerts.ts";
import { fillFleet } from "../../helpers/big-fleet.ts";
import { report, testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, trigger, useFleet, work } from "../../helpers/fleet.ts";
import { results } from "../../helpers/right-inputs.ts";

const fleet = useFleet();

/** What is wrong, after a look; every host is in contact. */
async function look() {
  await heard(fleet.current);
  await evaluateAlerts(fleet.current.ctx);
  return openAlerts(fleet.current);
}

/** The same after two minutes, in which an alert ends whose condition has gone. */
async function afterwards() {
  await heard(fleet.current);
  await stayAway(fleet.current);
  return look();
}

const details = async () =>
  (await fleet.current.operate("GET", "/v1/alerts?open=1")).body.items.map(
    ({ detail }: any) => detail,
  ) as string[];

async function pull(result = {}) {
  await trigger(fleet.current);
  await work(fleet.current, { agent: fleet.current.master, result });
}

test("a project whose last runs all failed is failing until one succeeds, or it is paused", async () => {
  const { operate } = fleet.current;
  await createProject(fleet.current);
  await pull(results.failed);
  await pull(results.failed);
  expect(await look()).toEqual([]);
  await pull(results.failed);
  expect(await look()).toEqual(["failed debian"]);
  expect(await details()).toEqual(["3 runs in a row failed; the last one failed on master: no"]);
  await operate("POST", "/v1/projects/debian/pause");
  expect(await afterwards()).toEqual([]);
  await operate("POST", "/v1/projects/debian/resume");
  expect(await look()).toEqual(["failed debian"]);
  await pull();
  expect(await afterwards()).toEqual([]);
  await operate("PATCH", "/v1/settings", { alertFailedRuns: 1 });
  await pull(results.failed);
  expect(await look()).toEqual(["failed debian"]);
});

test("replicas beyond their project's target are stale, what was never pulled after that time too, what is paused never", async () => {
  const { clock, operate } = fleet.current;
  await createProject(fleet.current, { schedule: "0 0 1 1 *", freshWithinSeconds: 3600 });
  expect(await look()).toEqual([]);
  clock.offsetSeconds += 3660;
  expect(await look()).toEqual(["stale debian ftp1", "stale debian ftp2", "stale debian master"]);
  expect((await details())[0]).toBe("has never been what its source is");
  await operate("POST", "/v1/projects/debian/replicas/ftp2/pause");
  await pull();
  await work(fleet.current, { agent: fleet.current.ftp1 });
  expect(await afterwards()).toEqual([]);
  clock.offsetSeconds += 3660;
  expect(await look()).toEqual(["stale debian ftp1", "stale debian master"]);
  expect((await details())[0]).toMatch(
    /^last known to be what its source is at 20\d\d-\d\d-\d\d \d\d:\d\d UTC; its target is 60 minutes$/,
  );
  await operate("POST", "/v1/projects/debian/pause");
  expect(await afterwards()).toEqual([]);
});

test("a host that is not heard is out of contact, one that is drained, revoked or not enrolled is not", async () => {
  const { ctx, operate } = fleet.current;
  await operate("POST", "/v1/hosts", { name: "ftp9", roles: ["ftp"], addresses: ["192.0.2.9"] });
  const away = { master: 16, ftp1: 16, ftp2: 16, ftp9: 16 };
  await operate("POST", "/v1/hosts/ftp2/drain");
  await operate("POST", "/v1/hosts/ftp1/revoke");
  await heard(fleet.current, away);
  await evaluateAlerts(ctx);
  expect(await openAlerts(fleet.current)).toEqual(["out-of-contact master"]);
  await operate("PATCH", "/v1/settings", { alertAwayMinutes: 20 });
  await evaluateAlerts(ctx);
  fleet.current.clock.offsetSeconds += 121;
  await heard(fleet.current, away);
  await evaluateAlerts(ctx);
  expect(await openAlerts(fleet.current)).toEqual([]);
});

test("held deletions are an alert until they are decided, and not over while the next sync runs", async () => {
  const { operate, master } = fleet.current;
  await createProject(fleet.current);
  await pull(results.held);
  expect(await look()).toEqual(["held debian master"]);
  expect(await details()).toEqual(["5 deletions among 10 entries wait for an operator"]);
  await trigger(fleet.current);
  expect(await afterwards()).toEqual(["held debian master"]);
  await work(fleet.current, { agent: master, result: results.held });
  expect(await afterwards()).toEqual(["held debian master"]);
  const { body } = await operate("GET", "/v1/status");
  await operate("POST", `/v1/tasks/${body.held[0].task}/dismiss`);
  expect(await afterwards()).toEqual([]);
});

test("what went wrong on a host that does not carry the project any more is over", async () => {
  const { operate, ftp1 } = fleet.current;
  await createProject(fleet.current);
  await pull();
  await work(fleet.current, { agent: ftp1, result: results.held });
  expect(await look()).toEqual(["held debian ftp1"]);
  await operate("PATCH", "/v1/projects/debian", { labels: { carries: "debian" } });
  expect(await afterwards()).toEqual([]);
});

test("a disk that fills is an alert until clearly more is free than when it began", async () => {
  const { operate, ftp1 } = fleet.current;
  const room = async (freeBytes: number, freeInodes: number) => {
    const root = { path: "/srv/mirror", totalBytes: 1000, freeBytes, totalInodes: 100, freeInodes };
    await ftp1.poll({ facts: { rsyncVersion: "3.4.1", roots: [root] } });
  };
  await room(50, 60);
  expect(await look()).toEqual([]);
  await room(49, 60);
  expect(await look()).toEqual(["disk ftp1"]);
  expect(await details()).toEqual(["4 % of its space and 60 % of its inodes free"]);
  await room(55, 60);
  expect(await afterwards()).toEqual(["disk ftp1"]);
  await room(60, 60);
  expect(await afterwards()).toEqual([]);
  await room(500, 3);
  expect(await look()).toEqual(["disk ftp1"]);
  const { body } = await operate("GET", "/v1/alerts");
  expect(body.items).toMatchObject([
    { root: "/srv/mirror", closedAt: null },
    { root: "/srv/mirror", closedAt: expect.any(String) },
  ]);
});

test("a disk that will be full within days is told of before it nearly is, until that is clearly farther off", async () => {
  const { operate, ctx, clock, ftp1 } = fleet.current;
  // So much of 1000 is free on the days up to today.
  const days = async (...free: number[]) => {
    for (const freeBytes of free) {
      clock.offsetSeconds += 86_400;
      const root = {
        path: "/srv/mirror",
        totalBytes: 1000,
        freeBytes,
        totalInodes: 0,
        freeInodes: 0,
      };
      await ftp1.poll({ facts: { rsyncVersion: null, roots: [root] } });
      await ctx.db.execute(sql`update hosts set facts_at = ${ctx.now()} where name = 'ftp1'`);
      await sampleDisks(ctx);
    }
  };
  await days(800, 700, 600);
  expect(await look()).toEqual([]);
  await days(500);
  expect(await look()).toEqual(["disk ftp1"]);
  expect((await details())[0]).toMatch(
    /^50 % of its space free; full about 20\d\d-\d\d-\d\d if it/,
  );
  await operate("PATCH", "/v1/settings", { alertDiskDays: null });
  expect(await afterwards()).toEqual([]);
  // Five days: more than four, and less than half as long again.
  await operate("PATCH", "/v1/settings", { alertDiskDays: 4 });
  expect(await look()).toEqual([]);
  await operate("PATCH", "/v1/settings", { alertDiskDays: 6 });
  expect(await look()).toEqual(["disk ftp1"]);
  await operate("PATCH", "/v1/settings", { alertDiskDays: 4 });
  expect(await afterwards()).toEqual(["disk ftp1"]);
  await days(900);
  expect(await afterwards()).toEqual([]);
});

test("a file system without a fixed number of inodes has no lack of them", async () => {
  const root = { path: "/srv/mirror", totalBytes: 9, freeBytes: 9, totalInodes: 0, freeInodes: 0 };
  await fleet.current.ftp1.poll({ facts: { rsyncVersion: null, roots: [root] } });
  expect(await look()).toEqual([]);
});

test("a task that stalled or whose agent fell silent is an alert until one after it ends well", async () => {
  const { ctx, clock, master, operate } = fleet.current;
  await createProject(fleet.current, { maxAttempts: 3, retrySeconds: 1 });
  await trigger(fleet.current);
  const loseLease = async () => {
    const lease = openLease(await master.poll());
    clock.offsetSeconds += 200;
    await reclaimExpired(ctx);
    clock.offsetSeconds += 3600;
    return lease;
  };
  await loseLease();
  expect(await look()).toEqual([]);
  await loseLease();
  expect(await look()).toEqual(["no-progress debian master"]);
  await loseLease();
  expect(await look()).toEqual(["no-progress debian master"]);
  expect((await details())[0]).toBe("its agent fell silent at work, in attempt 3 at the latest");
  await trigger(fleet.current);
  expect(await afterwards()).toEqual(["no-progress debian master"]);
  await work(fleet.current, { agent: master });
  expect(await afterwards()).toEqual([]);
  await operate("PATCH", "/v1/projects/debian", { maxAttempts: 1 });
  await trigger(fleet.current);
  const { taskId, token } = openLease(await master.poll());
  const body = testResult({ outcome: "stalled", exitCode: null });
  await report(fleet.current, { taskId, token, kind: "result", body });
  expect(await look()).toEqual(["no-progress debian master"]);
  expect((await details())[0]).toMatch(/^rsync stopped making progress/);
});

test("what is over stays to be read, and goes with the runs of its time", async () => {
  const { ctx, operate } = fleet.current;
  await heard(fleet.current, { ftp1: 20 });
  await evaluateAlerts(ctx);
  await heard(fleet.current);
  expect(await afterwards()).toEqual([]);
  const { body } = await operate("GET", "/v1/alerts?open=0&host=ftp1");
  expect(body.items).toMatchObject([{ condition: "out-of-contact", host: "ftp1", project: null }]);
  expect(Date.parse(body.items[0].closedAt)).toBeGreaterThan(
    Date.parse(body.items[0].openedAt) - 1,
  );
  await ctx.db.execute(sql`update alerts set closed_at = closed_at - interval '91 days'`);
  const removed = await removeOld(ctx, { seconds: 9, signal: new AbortController().signal });
  expect(removed).toMatchObject({ alerts: 1 });
});

test("500 projects on 50 hosts are looked at within seconds, also when everything is stale", async () => {
  const { ctx, clock } = fleet.current;
  await fillFleet(ctx.db, { projects: 500, hosts: 50 });
  await addReceiver(fleet.current, { url: "http://127.0.0.1:2/" });
  const timed = async () => {
    await heard(fleet.current);
    const begun = performance.now();
    await evaluateAlerts(ctx);
    return (performance.now() - begun) / 1000;
  };
  const halfBegin = await timed();
  clock.offsetSeconds += 30 * 86_400;
  const times = { halfBegin, allBegin: await timed(), allGoOn: await timed() };
  const { rows } = await ctx.db.execute(
    sql`select sum(total) total, max(jsonb_array_length(alerts)) held from alert_messages where kind = 'opened'`,
  );
  expect(Number(rows[0]!["total"])).toBeGreaterThan(20_000);
  expect(rows[0]!["held"]).toBe(200);
  for (const seconds of Object.values(times)) expect(seconds).toBeLessThan(20);
  const said = Object.entries(times).map(([what, seconds]) => `${what} ${seconds.toFixed(2)} s`);
  process.stdout.write(`alerts of 25,500 replicas: ${said.join(", ")}\n`);
});
