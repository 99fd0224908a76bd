import { expect, test } from "vitest";
import { reclaimExpired } from "../../../control-plane/dispatch/reclaim.ts";
import { report, testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, readRun, trigger, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();

const cancel = (id: string) => fleet.current.operate("POST", `/v1/runs/${id}/cancel`);
const retry = (id: string) => fleet.current.operate("POST", `/v1/runs/${id}/retry`);

test("a run that waits is cancelled at once, and the one behind it starts", async () => {
  await createProject(fleet.current);
  const first = await trigger(fleet.current);
  const second = await trigger(fleet.current);
  expect((await cancel(first.id)).body.state).toBe("cancelled");
  expect((await readRun(fleet.current, second)).state).toBe("running");
  expect(await cancel(first.id)).toMatchObject({ status: 409 });
});

test("a run that only distributes is cancelled beside one that pulls, and the one behind that waits on", async () => {
  await createProject(fleet.current);
  const distributing = await trigger(fleet.current);
  await work(fleet.current, { agent: fleet.current.master });
  const pulling = await trigger(fleet.current);
  const waiting = await trigger(fleet.current);
  expect(await cancel(distributing.id)).toMatchObject({
    status: 200,
    body: { state: "cancelled" },
  });
  expect((await readRun(fleet.current, pulling)).state).toBe("running");
  expect((await readRun(fleet.current, waiting)).state).toBe("queued");
});

test("a run that works is cancelled when its agent says so, and is not tried again", async () => {
  await createProject(fleet.current);
  const run = await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  const asked = await cancel(run.id);
  expect(asked.body).toMatchObject({ state: "running", tasks: [{ cancelRequested: true }] });
  await report(fleet.current, {
    ...lease,
    kind: "result",
    body: testResult({ outcome: "cancelled", exitCode: 20 }),
  });
  expect(await readRun(fleet.current, run)).toMatchObject({
    state: "cancelled",
    tasks: [{ state: "cancelled", attempt: 1 }],
  });
});

test("an agent that finished before it heard of the cancellation has finished", async () => {
  await createProject(fleet.current);
  const run = await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  await cancel(run.id);
  await report(fleet.current, { ...lease, kind: "result", body: testResult() });
  expect((await readRun(fleet.current, run)).tasks[0].state).toBe("succeeded");
});

test("a cancelled task whose agent went silent has failed: nobody knows what it did", async () => {
  await createProject(fleet.current);
  const run = await trigger(fleet.current);
  await fleet.current.master.poll();
  await cancel(run.id);
  fleet.current.clock.offsetSeconds = 600;
  await reclaimExpired(fleet.current.ctx);
  expect(await readRun(fleet.current, run)).toMatchObject({ state: "failed" });
});

test("a failed pull is tried again as a whole", async () => {
  await createProject(fleet.current);
  const run = await trigger(fleet.current);
  await work(fleet.current, {
    agent: fleet.current.master,
    result: { outcome: "fatal", exitCode: 5 },
  });
  const again = await retry(run.id);
  expect(again).toMatchObject({ status: 201, body: { trigger: "retry", state: "running" } });
});

test("where the pull succeeded, the hosts that failed are tried again, and no other", async () => {
  const { master, ftp1, ftp2, operate } = fleet.current;
  await createProject(fleet.current);
  const run = await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  await work(fleet.current, { agent: ftp1 });
  await work(fleet.current, { agent: ftp2, result: { outcome: "fatal", exitCode: 11 } });
  const again = await retry(run.id);
  expect(again.body.tasks.map(({ host }: any) => host)).toEqual(["ftp2"]);
  await work(fleet.current, { agent: ftp2 });
  expect((await readRun(fleet.current, again.body)).state).toBe("succeeded");
  const task = (await readRun(fleet.current, run)).tasks.find(({ host }: any) => host === "ftp1");
  expect((await operate("POST", `/v1/tasks/${task.id}/retry`)).status).toBe(409);
});

test("what failed pulls changed on the master is published by the next success, though it changed nothing itself", async () => {
  const { master, ftp1 } = fleet.current;
  await createProject(fleet.current, { maxAttempts: 1 });
  const fill = await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  for (const agent of [ftp1, fleet.current.ftp2]) await work(fleet.current, { agent });
  expect((await readRun(fleet.current, fill)).generation).toBe(1);
  await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { outcome: "partial", changes: 40 } });
  const next = await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { changes: 0 } });
  expect((await readRun(fleet.current, next)).generation).toBe(2);
  expect((await ftp1.poll()).lease).not.toBeNull();
});
