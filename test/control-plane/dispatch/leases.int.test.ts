import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { reclaimExpired } from "../../../control-plane/dispatch/reclaim.ts";
import { enrolAgent, report, testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, readRun, trigger, useFleet } from "../../helpers/fleet.ts";
import { until } from "../../helpers/programs.ts";

const fleet = useFleet();

type Lease = { taskId: string; token: string };

const sendLog = async (
  { taskId, token }: Lease,
  offset: number,
  text: string,
): Promise<unknown> => {
  const response = await fleet.current.app.request(`/v1/tasks/${taskId}/log?offset=${offset}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: text,
  });
  return await response.json();
};

const logOf = async ({ taskId }: Lease) => {
  const headers = { authorization: `Bearer ${fleet.current.admin}` };
  return (await fleet.current.app.request(`/v1/tasks/${taskId}/log`, { headers })).text();
};

const leaseOf = async () => {
  await createProject(fleet.current);
  const run = await trigger(fleet.current);
  return { run, lease: openLease(await fleet.current.master.poll()) };
};

test("a poll that is held twice, once on a dead connection, takes one lease for both", async () => {
  const { master, operate } = fleet.current;
  for (const name of ["debian", "fedora"])
    await createProject(fleet.current, { name, upstream: `rsync://up.example.org/${name}` });
  const { daemonUsersVersion } = await master.poll();
  const pollId = randomUUID();
  const held = [1, 2].map(() => master.poll({ pollId, waitSeconds: 20, daemonUsersVersion }));
  for (const name of ["debian", "fedora"]) await operate("POST", `/v1/projects/${name}/sync`);
  const [first, second] = (await Promise.all(held)).map(openLease);
  expect(second!.taskId).toBe(first!.taskId);
  expect((await operate("GET", "/v1/tasks?state=leased")).body.items).toHaveLength(1);
});

test("a cancellation rides every answer: of heartbeats, pieces of log, and the held poll at once", async () => {
  const { run, lease } = await leaseOf();
  const { daemonUsersVersion } = await fleet.current.master.poll();
  const beat = () =>
    report(fleet.current, { ...lease, kind: "heartbeat", body: { progress: null } });
  expect((await beat()).body).toMatchObject({ cancel: false, heartbeatSeconds: 10 });
  const held = fleet.current.master.poll({ waitSeconds: 20, daemonUsersVersion });
  // Once it is held: the word that comes before that waits for the next heartbeat.
  await sleep(1000);
  const started = performance.now();
  await fleet.current.operate("POST", `/v1/runs/${run.id}/cancel`);
  expect((await held).cancelled).toEqual([lease.taskId]);
  expect(performance.now() - started).toBeLessThan(10_000);
  expect((await beat()).body).toMatchObject({ cancel: true });
  expect(await sendLog(lease, 0, "line\n")).toEqual({ nextOffset: 5, cancel: true });
});

test("a log has no holes, however its pieces are cut when they come again", async () => {
  const { lease } = await leaseOf();
  expect(await sendLog(lease, 0, "abc")).toMatchObject({ nextOffset: 3 });
  expect(await sendLog(lease, 0, "abcdef")).toMatchObject({ nextOffset: 6 });
  expect(await sendLog(lease, 10, "klm")).toMatchObject({ nextOffset: 6 });
  expect(await sendLog(lease, 2, "cd")).toMatchObject({ nextOffset: 6 });
  await Promise.all([sendLog(lease, 6, "ghij"), sendLog(lease, 6, "ghij")]);
  expect(await logOf(lease)).toBe("abcdefghij");
});

test("a task whose agent is silent in its last attempt is lost, and its late result is kept as evidence", async () => {
  await createProject(fleet.current, { maxAttempts: 1 });
  const run = await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  fleet.current.clock.offsetSeconds = 121;
  await reclaimExpired(fleet.current.ctx);
  expect(await readRun(fleet.current, run)).toMatchObject({
    state: "failed",
    reason: "failed on master",
    tasks: [{ state: "lost" }],
  });
  const late = { ...lease, kind: "result" as const, body: testResult({ message: "late" }) };
  expect((await report(fleet.current, late)).status).toBe(409);
  const { body } = await fleet.current.operate("GET", `/v1/tasks/${lease.taskId}`);
  expect(body).toMatchObject({
    state: "lost",
    attempts: [{ state: "superseded", result: { message: "late" } }],
  });
  expect((await fleet.current.operate("POST", `/v1/runs/${run.id}/retry`)).status).toBe(201);
});

test("while the database takes no writes reports are answered 503, and taken when it does again", async () => {
  const { ctx } = fleet.current;
  const { lease } = await leaseOf();
  // On each connection of the pool: they wait for each other.
  const everywhere = (mode: string) =>
    Promise.all(
      [1, 2, 3, 4].map(() =>
        ctx.db.transaction(async (tx) => {
          await tx.execute(sql.raw(`set session characteristics as transaction ${mode}`));
          await tx.execute(sql`select pg_sleep(1)`);
        }),
      ),
    );
  await everywhere("read only");
  const result = () => report(fleet.current, { ...lease, kind: "result", body: testResult() });
  expect(await result()).toMatchObject({
    status: 503,
    body: { code: "unavailable", detail: "the database is read-only: try again later" },
  });
  await everywhere("read write");
  expect((await result()).status).toBe(200);
});

test("a task whose master has not said yet where its daemon is waits, and holds up none of its host's others", async () => {
  const { ctx, app, operate, ftp1 } = fleet.current;
  await enrolAgent({ app, operate }, { name: "silent", role: "master" });
  // Queued first, and of a higher priority.
  const silent = { name: "fedora", upstream: null, master: "silent", priority: 100 };
  await createProject(fleet.current, silent);
  await createProject(fleet.current, { upstream: null, master: "master" });
  await fleet.current.master.poll();
  await operate("POST", "/v1/projects/fedora/sync");
  await trigger(fleet.current);
  expect(openLease(await ftp1.poll()).sync.project).toBe("debian");
  expect((await ftp1.poll()).lease).toBeNull();
  await ctx.db.execute(sql`
    update hosts set daemon_port = 8873, roots = '[{"path": "/srv/mirror", "module": "mirror"}]'
    where name = 'silent'`);
  expect(openLease(await ftp1.poll()).sync.project).toBe("fedora");
});

test("a result whose task is cancelled while it waits for its turn is judged by that, and not tried again", async () => {
  const { ctx, operate, master, ftp1 } = fleet.current;
  await createProject(fleet.current, { upstream: null });
  await master.poll();
  await trigger(fleet.current);
  const lease = openLease(await ftp1.poll());
  const body = testResult({ outcome: "retryable" });
  const { answer } = await ctx.db.transaction(async (tx) => {
    await tx.execute(sql`select from projects for update`);
    const sent = report(fleet.current, { ...lease, kind: "result", body });
    await until("the result waits", async () => {
      const { rows } = await ctx.db.execute(
        sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rows.length > 0;
    });
    await tx.execute(
      sql`update tasks set cancel_requested_at = now() where id = ${lease.taskId}::uuid`,
    );
    return { answer: sent };
  });
  expect((await answer).status).toBe(200);
  const { body: task } = await operate("GET", `/v1/tasks/${lease.taskId}`);
  expect(task).toMatchObject({ state: "cancelled", attempts: [{ attempt: 1 }] });
});
