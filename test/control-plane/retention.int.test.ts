import { eq, sql } from "drizzle-orm";
import postgres from "postgres";
import { expect, test } from "vitest";
import { connect } from "../../control-plane/db/connect.ts";
import { auditEvents } from "../../control-plane/db/schema/operators.ts";
import { runs } from "../../control-plane/db/schema/runs.ts";
import { logChunks, tasks } from "../../control-plane/db/schema/tasks.ts";
import { reclaimExpired } from "../../control-plane/dispatch/reclaim.ts";
import { removeOld } from "../../control-plane/retention.ts";
import { report, testResult } from "../helpers/control-plane.ts";
import { createProject, openLease, trigger, useFleet, work } from "../helpers/fleet.ts";

const fleet = useFleet();

const pass = (ctx = fleet.current.ctx) =>
  removeOld(ctx, { seconds: 30, signal: new AbortController().signal });

const runIds = async () =>
  (await fleet.current.ctx.db.select({ id: runs.id }).from(runs)).map(({ id }) => id);

/** Makes all that there is `days` older. */
async function age(days: number) {
  const { db } = fleet.current.ctx;
  const by = sql`${days} * interval '1 day'`;
  await db.execute(sql`update runs set created_at = created_at - ${by}`);
  await db.execute(
    sql`update tasks set queued_at = queued_at - ${by}, finished_at = finished_at - ${by}`,
  );
  await db.execute(sql`update log_chunks set created_at = created_at - ${by}`);
  await db.execute(sql`update audit_events set at = at - ${by}`);
}

/** A run whose pull ends so, and whose hosts all succeed. */
async function oneRun(outcome: "ok" | "held" | "fatal" = "ok") {
  const { master, ftp1, ftp2 } = fleet.current;
  const { id } = await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { outcome } });
  if (outcome === "ok") for (const agent of [ftp1, ftp2]) await work(fleet.current, { agent });
  return id as string;
}

test("what ended before the policy's days goes, and each project's latest state stays however old", async () => {
  await createProject(fleet.current);
  const first = await oneRun();
  await age(1);
  const second = await oneRun();
  await age(88);
  expect(await pass()).toMatchObject({ runs: 0 });
  await age(2);
  expect(await pass()).toMatchObject({ runs: 1 });
  expect(await runIds()).toEqual([second]);
  expect((await fleet.current.operate("GET", `/v1/runs/${first}`)).status).toBe(404);
  expect((await fleet.current.operate("GET", `/v1/runs/${second}`)).body.tasks).toHaveLength(3);
  await age(10_000);
  expect(await pass()).toMatchObject({ runs: 0 });
});

test("a held task stays until a later one of its replica has succeeded", async () => {
  await createProject(fleet.current);
  const good = await oneRun();
  await age(1);
  const held = await oneRun("held");
  await age(1);
  const failed = await oneRun("fatal");
  await age(200);
  expect(await pass()).toMatchObject({ runs: 0 });
  expect((await runIds()).toSorted()).toEqual([good, held, failed].toSorted());
  const later = await oneRun();
  expect(await pass()).toMatchObject({ runs: 3 });
  expect(await runIds()).toEqual([later]);
});

test("a host that has not carried a project for long keeps the run in which it last did", async () => {
  const { master, ftp1 } = fleet.current;
  await createProject(fleet.current);
  const both = await oneRun();
  await age(1);
  await fleet.current.operate("POST", "/v1/projects/debian/replicas/ftp2/pause");
  const next = async () => {
    const { id } = await trigger(fleet.current);
    for (const agent of [master, ftp1]) await work(fleet.current, { agent });
    await age(1);
    return id as string;
  };
  await next();
  const last = await next();
  await age(200);
  expect(await pass()).toMatchObject({ runs: 1 });
  expect((await runIds()).toSorted()).toEqual([both, last].toSorted());
});

test("what is queued, leased or distributing is never removed, nor the evidence and logs of a task that lives", async () => {
  const { ctx, clock, master, ftp1 } = fleet.current;
  await createProject(fleet.current);
  await oneRun("fatal");
  await age(1);
  const { id } = await trigger(fleet.current);
  const lease = openLease(await master.poll());
  await ctx.db
    .insert(logChunks)
    .values({ taskId: lease.taskId, attempt: 1, position: 0, bytes: Buffer.from("evidence") });
  // The attempt loses its lease, and what it reports then is kept with it.
  clock.offsetSeconds = 200;
  await reclaimExpired(ctx);
  await report(fleet.current, { ...lease, kind: "result", body: testResult() });
  await age(400);
  expect(await pass()).toMatchObject({ runs: 0, logs: 0 });
  const { body: task } = await fleet.current.operate("GET", `/v1/tasks/${lease.taskId}`);
  expect(task).toMatchObject({ state: "queued" });
  expect(task.attempts).toMatchObject([{ state: "superseded", result: { outcome: "ok" } }]);
  clock.offsetSeconds = 400;
  await work(fleet.current, { agent: master });
  const distributing = openLease(await ftp1.poll());
  await age(400);
  await pass();
  expect(await runIds()).toContain(id);
  expect(
    (await report(fleet.current, { ...distributing, kind: "result", body: testResult() })).status,
  ).toBe(200);
});

test("logs and audit events go by days of their own, and null keeps them for ever", async () => {
  const { ctx, operate } = fleet.current;
  await createProject(fleet.current);
  await oneRun();
  const [task] = await ctx.db.select().from(tasks).limit(1);
  await ctx.db
    .insert(logChunks)
    .values({ taskId: task!.id, attempt: 1, position: 0, bytes: Buffer.from("log") });
  const count = async () => [
    await ctx.db.$count(logChunks),
    await ctx.db.$count(auditEvents, sql`${auditEvents.at} < now() - interval '10 days'`),
  ];
  await age(31);
  await operate("PATCH", "/v1/settings", { keepLogsDays: null });
  const before = await count();
  await pass();
  expect(await count()).toEqual(before);
  await operate("PATCH", "/v1/settings", { keepLogsDays: 30 });
  await pass();
  expect(await count()).toEqual([0, before[1]]);
  await operate("PATCH", "/v1/settings", { keepAuditDays: 20 });
  const { audit } = await pass();
  expect(audit).toBe(before[1]);
  expect(await count()).toEqual([0, 0]);
});

test("settings are changed field by field, and say what is wrong with a field", async () => {
  const { operate } = fleet.current;
  const kept = { keepRunsDays: 90, keepLogsDays: 30, keepAuditDays: 730 };
  expect((await operate("GET", "/v1/settings")).body).toMatchObject(kept);
  await operate("PATCH", "/v1/settings", { upstreamParallel: 2, keepRunsDays: null });
  const { body } = await operate("PATCH", "/v1/settings", { keepLogsDays: 7 });
  expect(body).toMatchObject({ ...kept, upstreamParallel: 2, keepRunsDays: null, keepLogsDays: 7 });
  const refused = await operate("PATCH", "/v1/settings", { keepLogsDays: 0 });
  expect(refused).toMatchObject({ status: 422, body: { errors: [{ field: "keepLogsDays" }] } });
});

/** Adds old runs with three tasks each, of which all but the latest are to go. */
async function addHistory(count: number) {
  const { db } = fleet.current.ctx;
  await db.execute(sql`
    insert into runs (project_id, trigger, state, scheduled_for, created_at)
    select p.id, 'schedule', 'succeeded', at, at from projects p,
      lateral (select now() - interval '100 days' - n * interval '1 minute' as at
        from generate_series(1, ${count}::int) n) times`);
  await db.execute(sql`
    insert into tasks (run_id, project_id, host_id, role, state, attempt, max_attempts, not_before, queued_at, finished_at)
    select r.id, r.project_id, c.host_id, c.role, 'succeeded', 1, 3, r.created_at, r.created_at, r.created_at
    from runs r join replicas c on c.project_id = r.project_id`);
}

/** Runs of which some, not all, tasks are gone. */
const torn = async () => {
  const { rows } = await fleet.current.ctx.db.execute(
    sql`select run_id from tasks group by run_id having count(*) <> 3 union all
        select id from runs where id not in (select run_id from tasks)`,
  );
  return rows;
};

test("two replicas at once remove all of it together, and neither waits for the other", async () => {
  await createProject(fleet.current);
  await addHistory(1500);
  const both = await Promise.all([pass(), pass()]);
  expect(both[0].runs + both[1].runs).toBe(1499);
  expect(Math.min(both[0].runs, both[1].runs)).toBeGreaterThan(0);
  expect(await runIds()).toHaveLength(1);
});

test("killed in the middle, each run is whole or gone, and the next pass removes the rest", async () => {
  const { ctx } = fleet.current;
  await createProject(fleet.current);
  await addHistory(3000);
  const { connection } = fleet.current;
  const { pool, db, close } = connect({ connection, max: 1 });
  const { rows } = await pool.query("select pg_backend_pid() pid");
  const dying = pass({ ...ctx, db }).then(
    () => "ended",
    () => "killed",
  );
  const killer = postgres({ ...connection, max: 1 });
  while ((await runIds()).length > 2500);
  await killer`select pg_terminate_backend(${rows[0].pid})`;
  await killer.end();
  expect(await dying).toBe("killed");
  await close();
  const left = (await runIds()).length;
  expect(left).toBeGreaterThan(1);
  expect(await torn()).toEqual([]);
  await pass();
  expect(await runIds()).toHaveLength(1);
  expect(await ctx.db.$count(tasks, eq(tasks.state, "succeeded"))).toBe(3);
});
