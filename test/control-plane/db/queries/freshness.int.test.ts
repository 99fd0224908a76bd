import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { generationFreshAt } from "../../../../control-plane/db/queries/freshness.ts";
import {
  createProject,
  openLease,
  readRun,
  trigger,
  useFleet,
  work,
} from "../../../helpers/fleet.ts";
import { report, testResult } from "../../../helpers/control-plane.ts";

const fleet = useFleet();
const minute = 60;

/** Goes on in time; answers the time it is then, by the control plane's clock. */
function pass(seconds: number) {
  fleet.current.clock.offsetSeconds += seconds;
}

/** How many seconds ago each host was known to be what the source had, to ten seconds; null: never. */
async function ages() {
  const { body } = await fleet.current.operate("GET", "/v1/projects/debian");
  const now = Date.now() + fleet.current.clock.offsetSeconds * 1000;
  const age = (at: string | null) =>
    at === null ? null : Math.round((now - Date.parse(at)) / 10_000) * 10;
  return Object.fromEntries(
    body.replicas.map(({ host, freshAt }: any) => [host, age(freshAt)]),
  ) as Record<string, number | null>;
}

async function staleHosts() {
  const { body } = await fleet.current.operate("GET", "/v1/replicas?project=debian");
  return body.items.filter(({ stale }: any) => stale).map(({ host }: any) => host);
}

const { master, ftp1, ftp2 } = {
  master: () => fleet.current.master,
  ftp1: () => fleet.current.ftp1,
  ftp2: () => fleet.current.ftp2,
};

/** A pull that takes two minutes. */
async function pull(result: Parameters<typeof testResult>[0] = {}) {
  const run = await trigger(fleet.current);
  const lease = openLease(await master().poll());
  pass(2 * minute);
  await report(fleet.current, { ...lease, kind: "result", body: testResult(result) });
  return run;
}

async function scheduled() {
  return createProject(fleet.current, { schedule: "0 0 1 1 *", freshWithinSeconds: 3600 });
}

test("what was never pulled was never fresh", async () => {
  await scheduled();
  expect(await ages()).toEqual({ master: null, ftp1: null, ftp2: null });
  expect(await staleHosts()).toEqual(["ftp1", "ftp2", "master"]);
});

test("all that carry what is published are as fresh as the last pull's beginning, also where it found nothing", async () => {
  await scheduled();
  await pull();
  for (const agent of [ftp1(), ftp2()]) await work(fleet.current, { agent });
  expect(await ages()).toEqual({ master: 120, ftp1: 120, ftp2: 120 });
  pass(30 * minute);
  await pull({ changes: 0 });
  expect(await ages()).toEqual({ master: 120, ftp1: 120, ftp2: 120 });
  expect(await staleHosts()).toEqual([]);
  pass(59 * minute);
  expect(await staleHosts()).toEqual(["ftp1", "ftp2", "master"]);
  const { operate } = fleet.current;
  await operate("POST", "/v1/projects/debian/replicas/ftp2/pause");
  const { stale } = (await operate("GET", "/v1/status")).body;
  expect(stale.map(({ project, host }: any) => `${project} ${host}`)).toEqual([
    "debian ftp1",
    "debian master",
  ]);
});

test("a host that is behind is as fresh as the last pull that saw what it has", async () => {
  await scheduled();
  await pull();
  await work(fleet.current, { agent: ftp1() });
  await work(fleet.current, { agent: ftp2() });
  pass(10 * minute);
  await pull({ changes: 0 });
  pass(10 * minute);
  await pull();
  await work(fleet.current, { agent: ftp1() });
  // Nobody knows when in the time between the two pulls the source changed: it was so at the first.
  const between = 2 * minute + 10 * minute;
  expect(await ages()).toEqual({ master: 120, ftp1: 120, ftp2: 120 + between });
  pass(10 * minute);
  await pull();
  expect((await ages())["ftp2"]).toBe(120 + 2 * between);
});

test("a host that is slower than the schedule is as fresh as what it carries", async () => {
  await scheduled();
  await pull();
  await work(fleet.current, { agent: ftp1() });
  const run = await pull();
  const lease = openLease(await ftp1().poll());
  pass(10 * minute);
  await pull();
  await report(fleet.current, { ...lease, kind: "result", body: testResult() });
  expect((await readRun(fleet.current, run)).generation).toBe(2);
  expect(await ages()).toEqual({ master: 120, ftp1: 120 + 12 * minute, ftp2: null });
});

test("a pull that failed makes nothing fresher", async () => {
  await scheduled();
  await pull();
  await work(fleet.current, { agent: ftp1() });
  pass(10 * minute);
  await pull({ outcome: "fatal", exitCode: 1 });
  expect(await ages()).toEqual({ master: 14 * minute, ftp1: 14 * minute, ftp2: null });
});

test("a replica that is synced anew, or moves, stays as fresh as it was until that is done", async () => {
  await scheduled();
  await pull();
  for (const agent of [ftp1(), ftp2()]) await work(fleet.current, { agent });
  const { operate } = fleet.current;
  await operate("POST", "/v1/projects/debian/replicas/ftp1/resync");
  await operate("POST", "/v1/projects/debian/replicas/ftp2/move", { root: "/srv/disk2" });
  pass(10 * minute);
  await pull({ changes: 0 });
  expect(await ages()).toEqual({ master: 120, ftp1: 14 * minute, ftp2: 14 * minute });
  for (const agent of [ftp1(), ftp2()]) await work(fleet.current, { agent });
  expect(await ages()).toEqual({ master: 120, ftp1: 120, ftp2: 120 });
});

test("a replica that is to lie elsewhere, and does not yet, is not made fresh by what is published", async () => {
  await scheduled();
  await pull();
  for (const agent of [ftp1(), ftp2()]) await work(fleet.current, { agent });
  const { operate } = fleet.current;
  await operate("POST", "/v1/projects/debian/pause");
  await operate("POST", "/v1/projects/debian/replicas/ftp2/move", { root: "/srv/disk2" });
  await operate("POST", "/v1/projects/debian/resume");
  pass(10 * minute);
  await pull({ changes: 0 });
  expect(await ages()).toEqual({ master: 120, ftp1: 120, ftp2: 14 * minute });
});

test("with another path nothing is known of any host", async () => {
  await scheduled();
  await pull();
  await work(fleet.current, { agent: ftp1() });
  await fleet.current.operate("PATCH", "/v1/projects/debian", { path: "pub/debian" });
  expect(await ages()).toEqual({ master: null, ftp1: null, ftp2: null });
});

test("what is only triggered is fresh until a trigger says that there is news", async () => {
  await createProject(fleet.current, { upstream: null });
  await master().poll();
  await trigger(fleet.current);
  await work(fleet.current, { agent: ftp1() });
  pass(100_000);
  // The host that has not pulled yet never had anything.
  expect(await ages()).toEqual({ master: 0, ftp1: 0, ftp2: null });
  await work(fleet.current, { agent: ftp2() });
  await trigger(fleet.current);
  await work(fleet.current, { agent: ftp1() });
  pass(86_000);
  expect(await ages()).toEqual({ master: 0, ftp1: 0, ftp2: 86_000 });
  expect(await staleHosts()).toEqual([]);
  pass(1000);
  expect(await staleHosts()).toEqual(["ftp2"]);
});

test("a push whose pull fails makes a project stale from the push on", async () => {
  await createProject(fleet.current);
  await pull();
  await work(fleet.current, { agent: ftp1() });
  pass(50_000);
  expect(await ages()).toEqual({ master: 0, ftp1: 0, ftp2: null });
  await pull({ outcome: "fatal", exitCode: 1 });
  expect((await ages())["ftp1"]).toBe(120);
  pass(10 * minute);
  await pull({ changes: 0 });
  // The pull that failed may have changed the master's tree: a host is behind until it has looked.
  expect(await ages()).toEqual({ master: 0, ftp1: 14 * minute, ftp2: null });
  await work(fleet.current, { agent: ftp1() });
  expect((await ages())["ftp1"]).toBe(0);
});

test("deletions that are undone are not what the source has", async () => {
  await scheduled();
  await pull();
  await work(fleet.current, { agent: ftp1() });
  pass(10 * minute);
  await fleet.current.operate("POST", "/v1/projects/debian/undo");
  await work(fleet.current, { agent: master() });
  await work(fleet.current, { agent: ftp1() });
  expect(await ages()).toEqual({ master: 720, ftp1: 720, ftp2: null });
});

test("an undo that fails is no news of the source", async () => {
  await createProject(fleet.current);
  await pull();
  await work(fleet.current, { agent: ftp1() });
  pass(10 * minute);
  await fleet.current.operate("POST", "/v1/projects/debian/undo");
  await work(fleet.current, {
    agent: master(),
    result: { outcome: "fatal", exitCode: null, message: "nothing is in quarantine" },
  });
  // It has paused the project.
  await fleet.current.operate("POST", "/v1/projects/debian/resume");
  pass(100_000);
  const { body } = await fleet.current.operate("GET", "/v1/replicas?project=debian");
  expect(body.items.find(({ host }: any) => host === "master").stale).toBe(false);
});

test("a project says within which time it is to be fresh, or its schedule does", async () => {
  const { operate } = fleet.current;
  await createProject(fleet.current, { schedule: "0 */4 * * *", splaySeconds: 600 });
  const target = async (patch: object) =>
    (await operate("PATCH", "/v1/projects/debian", patch)).body.freshTargetSeconds;
  expect(await target({ description: "x" })).toBe(8 * 3600 + 600);
  expect(await target({ freshWithinSeconds: 3000 })).toBe(3000);
  expect(await target({ schedule: "0 0 * * *" })).toBe(3000);
  expect(await target({ freshWithinSeconds: null })).toBe(48 * 3600 + 600);
  expect(await target({ schedule: null })).toBe(86_400);
  const refused = await operate("PATCH", "/v1/projects/debian", { freshWithinSeconds: 5 });
  expect(refused.body.errors[0].field).toBe("freshWithinSeconds");
});

/** Rows that a plan's nodes read, all in all. */
const rowsIn = (node: any): number =>
  node["Actual Rows"] * node["Actual Loops"] +
  (node.Plans ?? []).reduce((sum: number, each: any) => sum + rowsIn(each), 0);

test("how fresh a generation is takes one run to tell, though thousands found nothing newer", async () => {
  await scheduled();
  await pull({ changes: 1 });
  const { db } = fleet.current.ctx;
  const { rows: projects } = await db.execute<{ id: string }>(sql`select id from projects`);
  const [{ id }] = projects as [{ id: string }];
  await db.execute(sql`
    with run as (
      insert into runs (project_id, trigger, state, scheduled_for, generation, created_at)
      select ${id}, 'push', 'succeeded', at, 1, at
      from generate_series(now() - interval '3000 minutes', now() - interval '10 minutes', interval '1 minute') at
      returning id, created_at),
    task as (
      insert into tasks (run_id, project_id, host_id, role, state, attempt, max_attempts, not_before, queued_at)
      select run.id, ${id}, h.id, 'master', 'succeeded', 1, 3, run.created_at, run.created_at
      from run join hosts h on h.roles @> '{master}' returning id, queued_at)
    insert into attempts (task_id, attempt, state, started_at)
    select id, 1, 'succeeded', queued_at from task`);
  await db.execute(sql`analyze runs, tasks, attempts`);
  const read = generationFreshAt({ projectId: sql`${id}::uuid`, generation: sql`1` });
  const { rows } = await db.execute<{ "QUERY PLAN": [{ Plan: object }] }>(
    sql`explain (analyze, format json) select ${read}`,
  );
  expect(rowsIn(rows[0]!["QUERY PLAN"][0].Plan)).toBeLessThan(20);
});
