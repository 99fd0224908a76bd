import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { reclaimExpired } from "../../../control-plane/dispatch/reclaim.ts";
import { report, testResult } from "../../helpers/control-plane.ts";
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

test("FTP hosts get their tasks when the master's pull has succeeded, and not before", async () => {
  await createProject(fleet.current);
  const run = await trigger(fleet.current);
  expect((await fleet.current.ftp1.poll()).lease).toBeNull();
  await work(fleet.current, { agent: fleet.current.master });
  expect((await readRun(fleet.current, run)).state).toBe("distributing");
  const { sync } = await work(fleet.current, { agent: fleet.current.ftp1 });
  expect(sync.steps[0].sources[0].source).toEqual({
    host: "127.0.0.1",
    port: 8873,
    module: "mirror",
    path: "debian",
    user: "ftp1",
  });
  await work(fleet.current, { agent: fleet.current.ftp2 });
  const done = await readRun(fleet.current, run);
  expect(done).toMatchObject({ state: "succeeded", generation: 1 });
  expect(done.tasks.map(({ host, state }: any) => `${host} ${state}`)).toEqual([
    "master succeeded",
    "ftp1 succeeded",
    "ftp2 succeeded",
  ]);
});

test("a pull that failed never fans out", async () => {
  await createProject(fleet.current);
  const run = await trigger(fleet.current);
  await work(fleet.current, {
    agent: fleet.current.master,
    result: { outcome: "fatal", exitCode: 5, message: "unknown module" },
  });
  expect(await readRun(fleet.current, run)).toMatchObject({
    state: "failed",
    reason: "failed on master",
    generation: null,
  });
  expect((await fleet.current.ftp1.poll()).lease).toBeNull();
});

test("a pull that changed nothing makes no generation and no tasks", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  for (const agent of [fleet.current.master, fleet.current.ftp1, fleet.current.ftp2])
    await work(fleet.current, { agent });
  const second = await trigger(fleet.current);
  await work(fleet.current, { agent: fleet.current.master, result: { changes: 0 } });
  expect(await readRun(fleet.current, second)).toMatchObject({ state: "succeeded", generation: 1 });
  expect((await fleet.current.ftp1.poll()).lease).toBeNull();
});

test("an FTP host that failed is served again by the next pull, though that changed nothing", async () => {
  await createProject(fleet.current, { maxAttempts: 1 });
  const first = await trigger(fleet.current);
  await work(fleet.current, { agent: fleet.current.master });
  await work(fleet.current, { agent: fleet.current.ftp1 });
  await work(fleet.current, {
    agent: fleet.current.ftp2,
    result: { outcome: "retryable", exitCode: 10 },
  });
  expect(await readRun(fleet.current, first)).toMatchObject({
    state: "failed",
    reason: "failed on ftp2",
  });
  await trigger(fleet.current);
  await work(fleet.current, { agent: fleet.current.master, result: { changes: 0 } });
  expect((await fleet.current.ftp1.poll()).lease).toBeNull();
  await work(fleet.current, { agent: fleet.current.ftp2 });
  const { replicas } = (await fleet.current.operate("GET", "/v1/projects/debian")).body;
  expect(replicas.map(({ generation }: any) => generation)).toEqual([1, 1, 1]);
});

test("an FTP host that is away holds up neither the next pull nor the other hosts", async () => {
  await createProject(fleet.current);
  const first = await trigger(fleet.current);
  await work(fleet.current, { agent: fleet.current.master });
  await work(fleet.current, { agent: fleet.current.ftp1 });
  const second = await trigger(fleet.current);
  await work(fleet.current, { agent: fleet.current.master });
  expect(await readRun(fleet.current, first)).toMatchObject({ state: "succeeded" });
  await work(fleet.current, { agent: fleet.current.ftp1 });
  await work(fleet.current, { agent: fleet.current.ftp2 });
  expect((await fleet.current.ftp2.poll()).lease).toBeNull();
  expect(await readRun(fleet.current, second)).toMatchObject({ state: "succeeded", generation: 2 });
});

test("a project that is hosted here goes to the FTP hosts as soon as it is triggered", async () => {
  await createProject(fleet.current, { upstream: null });
  await fleet.current.master.poll();
  const run = await trigger(fleet.current);
  await work(fleet.current, { agent: fleet.current.ftp1 });
  await work(fleet.current, { agent: fleet.current.ftp2 });
  expect(await readRun(fleet.current, run)).toMatchObject({ state: "succeeded", generation: 1 });
});

test("triggers that arrive during a pull become exactly one further run", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const [second, third] = [await trigger(fleet.current), await trigger(fleet.current)];
  expect(second.state).toBe("queued");
  expect(third.id).toBe(second.id);
  await work(fleet.current, { agent: fleet.current.master });
  expect((await readRun(fleet.current, second)).state).toBe("running");
});

test("a repeated poll id gets the same attempt again", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const pollId = randomUUID();
  const first = openLease(await fleet.current.master.poll({ pollId }));
  const again = openLease(await fleet.current.master.poll({ pollId }));
  expect({ taskId: again.taskId, attempt: again.attempt }).toEqual({
    taskId: first.taskId,
    attempt: 1,
  });
  expect((await fleet.current.master.poll()).lease).toBeNull();
});

test("a lease that runs out makes the next attempt, and the old one can report nothing any more", async () => {
  await createProject(fleet.current);
  const run = await trigger(fleet.current);
  const first = openLease(await fleet.current.master.poll());
  expect(await reclaimExpired(fleet.current.ctx)).toBe(0);
  fleet.current.clock.offsetSeconds = 121;
  expect(await reclaimExpired(fleet.current.ctx)).toBe(1);
  fleet.current.clock.offsetSeconds = 200;
  const second = openLease(await fleet.current.master.poll());
  expect(second).toMatchObject({ taskId: first.taskId, attempt: 2 });
  const heartbeat = await report(fleet.current, {
    ...first,
    kind: "heartbeat",
    body: { progress: null },
  });
  expect(heartbeat).toMatchObject({ status: 409, body: { code: "stale-attempt" } });
  const late = await report(fleet.current, {
    ...first,
    kind: "result",
    body: testResult({ message: "late" }),
  });
  expect(late).toMatchObject({ status: 409, body: { code: "stale-attempt" } });
  expect((await readRun(fleet.current, run)).tasks[0]).toMatchObject({
    state: "leased",
    attempt: 2,
    result: null,
  });
  const task = (await fleet.current.operate("GET", `/v1/tasks/${first.taskId}`)).body;
  expect(task.attempts[0]).toMatchObject({ state: "superseded", result: { message: "late" } });
  expect(
    (await report(fleet.current, { ...second, kind: "result", body: testResult() })).status,
  ).toBe(200);
});

test("a result that is delivered twice counts once", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const { answer, ...lease } = await work(fleet.current, { agent: fleet.current.master });
  expect(answer.status).toBe(200);
  expect(
    (await report(fleet.current, { ...lease, kind: "result", body: testResult() })).status,
  ).toBe(200);
  expect((await fleet.current.operate("GET", "/v1/projects/debian")).body.generation).toBe(1);
});

test("a retryable failure is tried again until the attempts are used up", async () => {
  await createProject(fleet.current, { maxAttempts: 2 });
  const run = await trigger(fleet.current);
  await work(fleet.current, {
    agent: fleet.current.master,
    result: { outcome: "retryable", exitCode: 30 },
  });
  expect((await fleet.current.master.poll()).lease).toBeNull();
  fleet.current.clock.offsetSeconds = 60;
  await work(fleet.current, {
    agent: fleet.current.master,
    result: { outcome: "retryable", exitCode: 30 },
  });
  expect(await readRun(fleet.current, run)).toMatchObject({ state: "failed" });
});

test("a held poll is answered as soon as there is work", async () => {
  await createProject(fleet.current);
  const held = fleet.current.master.poll({
    waitSeconds: 20,
    daemonUsersVersion: (await fleet.current.master.poll()).daemonUsersVersion,
  });
  await trigger(fleet.current);
  expect((await held).lease).not.toBeNull();
});

test("two hosts that finish at the same time close the run once", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  await work(fleet.current, { agent: fleet.current.master });
  await Promise.all(
    [fleet.current.ftp1, fleet.current.ftp2].map((agent) => work(fleet.current, { agent })),
  );
  expect((await listRuns(fleet.current)).map(({ state }: any) => state)).toEqual(["succeeded"]);
});
