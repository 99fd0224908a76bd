import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { reclaimExpired } from "../../../control-plane/dispatch/reclaim.ts";
import { report, testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, trigger, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();
const digest = "a".repeat(64);
const tables = ["fleet", "projects", "replicas", "change_lists", "runs", "tasks", "attempts"];

/** Takes down all that is there; what it answers puts it back, as a restore does. */
async function backup() {
  const { db } = fleet.current.ctx;
  for (const table of tables)
    await db.execute(sql.raw(`create table saved_${table} as table ${table}`));
  return async () => {
    await db.execute(sql.raw(`truncate ${tables.join(", ")} cascade`));
    for (const table of tables)
      await db.execute(sql.raw(`insert into ${table} table saved_${table}`));
  };
}

const replica = async (host: string) => {
  const { body } = await fleet.current.operate("GET", `/v1/replicas?host=${host}`);
  return body.items[0];
};

test("an attempt that was leased at the time of the backup is delivered after the restore, once", async () => {
  const { master } = fleet.current;
  await createProject(fleet.current, { hosts: ["ftp1"] });
  await trigger(fleet.current);
  const lease = openLease(await master.poll());
  const restore = await backup();
  const body = testResult();
  expect((await report(fleet.current, { ...lease, kind: "result", body })).status).toBe(200);
  await restore();
  for (const _ of [1, 2])
    expect((await report(fleet.current, { ...lease, kind: "result", body })).status).toBe(200);
  expect(await replica("master")).toMatchObject({ generation: 1 });
});

test("an attempt of whose end the restored database knows nothing is tried again", async () => {
  const { master, ctx, clock } = fleet.current;
  await createProject(fleet.current, { hosts: ["ftp1"] });
  await trigger(fleet.current);
  const lease = openLease(await master.poll());
  const restore = await backup();
  await report(fleet.current, { ...lease, kind: "result", body: testResult() });
  await restore();
  clock.offsetSeconds = 200;
  await reclaimExpired(ctx);
  clock.offsetSeconds = 400;
  const again = await work(fleet.current, { agent: master });
  expect(again).toMatchObject({ taskId: lease.taskId, attempt: 2, answer: { status: 200 } });
  expect(again.sync.publish).toBe(1);
});

test("a result of a time that was rolled back is not taken for that of the attempt which has its number now", async () => {
  const { master, ftp1 } = fleet.current;
  await createProject(fleet.current, { hosts: ["ftp1"] });
  await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  const restore = await backup();
  const before = openLease(await ftp1.poll());
  await restore();
  const now = openLease(await ftp1.poll());
  expect(now).toMatchObject({ taskId: before.taskId, attempt: 1 });
  const body = testResult({ message: "of before" });
  const late = await report(fleet.current, { ...before, kind: "result", body });
  expect(late).toMatchObject({ status: 409, body: { code: "stale-attempt" } });
  const beat = await report(fleet.current, {
    ...before,
    kind: "heartbeat",
    body: { progress: null },
  });
  expect(beat.status).toBe(409);
  expect(await replica("ftp1")).toMatchObject({ generation: 0 });
  expect((await report(fleet.current, { ...now, kind: "result", body: testResult() })).status).toBe(
    200,
  );
  expect(await replica("ftp1")).toMatchObject({ generation: 1 });
});

test("a pull that changed nothing is published where it is uncertain what hosts lack", async () => {
  const { master, ftp1 } = fleet.current;
  await createProject(fleet.current, { hosts: ["ftp1"] });
  await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  await work(fleet.current, { agent: ftp1, result: { scanned: true } });
  await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { changes: 0 } });
  expect((await ftp1.poll()).lease).toBeNull();
  await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { changes: 0, uncertain: true } });
  const { sync } = await work(fleet.current, { agent: ftp1 });
  expect(sync.carry).toMatchObject({ generation: 2, from: 1, lists: null });
});

test("a late result of a task that the restored database does not have is dropped", async () => {
  const { master } = fleet.current;
  await createProject(fleet.current, { hosts: ["ftp1"] });
  const restore = await backup();
  await trigger(fleet.current);
  const lease = openLease(await master.poll());
  await restore();
  const changeList = { generation: 1, digest, entries: 1 };
  const body = testResult({ changeList });
  expect((await report(fleet.current, { ...lease, kind: "result", body })).status).toBe(404);
  expect(await replica("master")).toMatchObject({ generation: 0 });
});
