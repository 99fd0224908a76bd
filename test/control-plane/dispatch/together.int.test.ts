import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { reclaimExpired } from "../../../control-plane/dispatch/reclaim.ts";
import { report, testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

const names = ["alpha", "beta", "gamma", "delta", "epsilon"];

/** Leases of both FTP hosts for all of these projects, which are hosted here. */
async function leaseAll() {
  const { master, ftp1, ftp2, operate } = fleet.current;
  await master.poll();
  for (const name of names) {
    await createProject(fleet.current, { name, upstream: null, retrySeconds: 1 });
    await operate("POST", `/v1/projects/${name}/sync`);
  }
  const leases = [];
  for (const agent of [ftp1, ftp2])
    for (const _ of names) leases.push(openLease(await agent.poll()));
  return leases;
}

type Lease = Awaited<ReturnType<typeof leaseAll>>[number];

const finish = (lease: Lease) =>
  report(fleet.current, { ...lease, kind: "result", body: testResult() });
const beat = (lease: Lease) =>
  report(fleet.current, { ...lease, kind: "heartbeat", body: { progress: null } });

/** Leases whose first attempts were lost, and those of their second ones. */
async function leaseAnew() {
  const stale = await leaseAll();
  fleet.current.clock.offsetSeconds = 121;
  await reclaimExpired(fleet.current.ctx);
  fleet.current.clock.offsetSeconds = 125;
  const again = [];
  for (const agent of [fleet.current.ftp1, fleet.current.ftp2])
    for (const _ of names) again.push(openLease(await agent.poll()));
  return { stale, again };
}

test("of results that come at the same moment each is judged by itself: a stale one is refused, one that comes twice counts once", async () => {
  const { stale, again } = await leaseAnew();
  const late = stale.slice(0, 3);
  const sent = [...again, ...late, ...again.slice(5)];
  const answers = await Promise.all(sent.map(finish));
  expect(answers.map(({ status }) => status)).toEqual(
    sent.map((lease) => (late.includes(lease) ? 409 : 200)),
  );
  const { body } = await fleet.current.operate("GET", "/v1/runs");
  expect(body.items.map(({ state }: { state: string }) => state)).toEqual(
    names.map(() => "succeeded"),
  );
  const { rows: totals } = await fleet.current.ctx.db.execute(sql`
    select outcome, sum(attempts)::int attempts from attempt_totals group by 1 order by 1`);
  expect(totals).toEqual([
    { outcome: "lost", attempts: 10 },
    { outcome: "ok", attempts: 10 },
  ]);
  const { rows: replicas } = await fleet.current.ctx.db.execute(sql`
    select from replicas where role = 'ftp' and generation = 1`);
  expect(replicas).toHaveLength(10);
});

test("of heartbeats that come at the same moment each is judged by its own attempt", async () => {
  const { stale, again } = await leaseAnew();
  const sent = stale.flatMap((lease, index) => [lease, again[index]!, again[index]!]);
  const answers = await Promise.all(sent.map(beat));
  expect(answers.map(({ status }) => status)).toEqual(
    sent.map((lease) => (stale.includes(lease) ? 409 : 200)),
  );
});

test("results wait for nobody who holds the row of another project", async () => {
  const leases = await leaseAll();
  const { ctx } = fleet.current;
  const isAlphas = ({ sync }: Lease) => sync.project === "alpha";
  const done: Lease[] = [];
  const { all } = await ctx.db.transaction(async (tx) => {
    await tx.execute(sql`select from projects where name = 'alpha' for update`);
    const answers = leases.map(async (lease) => {
      expect(await finish(lease)).toMatchObject({ status: 200 });
      done.push(lease);
    });
    await sleep(3000);
    expect(done).toHaveLength(8);
    expect(done.some(isAlphas)).toBe(false);
    return { all: Promise.all(answers) };
  });
  await all;
  expect(done).toHaveLength(10);
});

test("a trigger whose audit event cannot be kept starts nothing, and is told so", async () => {
  const { ctx, operate } = fleet.current;
  await createProject(fleet.current, { upstream: null });
  await ctx.db.execute(
    sql`alter table audit_events add constraint none check (action <> 'syncProject')`,
  );
  const { status } = await operate("POST", "/v1/projects/debian/sync");
  expect(status).toBe(500);
  expect((await operate("GET", "/v1/runs")).body.items).toEqual([]);
});
