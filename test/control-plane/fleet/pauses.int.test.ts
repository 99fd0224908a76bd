import { expect, test } from "vitest";
import { materialiseDue } from "../../../control-plane/schedule/materialise.ts";
import { report, testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, trigger, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();
const runs = async () => (await fleet.current.operate("GET", "/v1/runs")).body.items;

test("a paused project neither fires nor can be triggered; resumed, it counts from now", async () => {
  const { operate, clock, ctx } = fleet.current;
  await createProject(fleet.current, { schedule: "0 * * * *" });
  expect((await operate("POST", "/v1/projects/debian/pause")).body).toMatchObject({
    paused: true,
    nextRunAt: null,
  });
  clock.offsetSeconds = 7200;
  await materialiseDue(ctx);
  expect(await runs()).toEqual([]);
  expect((await operate("POST", "/v1/projects/debian/sync")).status).toBe(409);
  const resumed = await operate("POST", "/v1/projects/debian/resume");
  expect(Date.parse(resumed.body.nextRunAt)).toBeGreaterThan(Date.now());
});

test("a paused replica is left out of the fan-out, and catches up when it goes on", async () => {
  const { operate, master, ftp1, ftp2 } = fleet.current;
  await createProject(fleet.current);
  await operate("POST", "/v1/projects/debian/replicas/ftp2/pause");
  await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  await work(fleet.current, { agent: ftp1 });
  expect((await runs())[0].state).toBe("succeeded");
  expect((await ftp2.poll()).lease).toBeNull();
  await operate("POST", "/v1/projects/debian/replicas/ftp2/resume");
  await work(fleet.current, { agent: ftp2 });
  expect((await runs())[0]).toMatchObject({ trigger: "resync", state: "succeeded", generation: 1 });
});

test("a drained host is given nothing new, and its waiting task when it goes on", async () => {
  const { operate, master } = fleet.current;
  await createProject(fleet.current);
  await operate("POST", "/v1/hosts/master/drain");
  await trigger(fleet.current);
  const { lease, daemonUsersVersion } = await master.poll();
  expect(lease).toBeNull();
  const held = master.poll({ waitSeconds: 20, daemonUsersVersion });
  await operate("POST", "/v1/hosts/master/resume");
  expect((await held).lease).not.toBeNull();
});

test("a drain in an emergency ends what runs on the host and cancels what waits; resumed, it catches up", async () => {
  const { operate, master, ftp1, ftp2 } = fleet.current;
  for (const name of ["debian", "waiting"]) {
    await createProject(fleet.current, { name });
    await operate("POST", `/v1/projects/${name}/sync`);
    await work(fleet.current, { agent: master });
  }
  const lease = openLease(await ftp1.poll());
  const drained = await operate("POST", "/v1/hosts/ftp1/drain", { cancelRunning: true });
  expect(drained.body).toMatchObject({ drained: true, runningTasks: 1 });
  const tell = (kind: "heartbeat" | "result", body: unknown) =>
    report(fleet.current, { ...lease, kind, body });
  expect((await tell("heartbeat", { progress: null })).body).toMatchObject({ cancel: true });
  await tell("result", testResult({ outcome: "cancelled" }));
  for (let tasks = 0; tasks < 2; tasks++) await work(fleet.current, { agent: ftp2 });
  for (const run of await runs())
    expect(run).toMatchObject({ state: "cancelled", reason: "cancelled on ftp1" });
  expect((await ftp1.poll()).lease).toBeNull();
  await operate("POST", "/v1/hosts/ftp1/resume");
  for (let tasks = 0; tasks < 2; tasks++) await work(fleet.current, { agent: ftp1 });
  expect((await operate("GET", "/v1/status")).body.behind).toEqual([]);
});

test("a revoked host is not behind", async () => {
  const { operate, master } = fleet.current;
  await createProject(fleet.current);
  await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  const behind = async () =>
    (await operate("GET", "/v1/status")).body.behind.map(({ host }: any) => host);
  expect(await behind()).toEqual(["ftp1", "ftp2"]);
  await operate("POST", "/v1/hosts/ftp1/drain");
  await operate("POST", "/v1/hosts/ftp1/revoke");
  expect(await behind()).toEqual(["ftp2"]);
  expect((await operate("GET", "/v1/status")).body.hosts.drained).toBe(0);
});

test("while the fleet is paused nothing is leased, scheduled or triggered; afterwards the latest missed time runs", async () => {
  const { operate, master, clock, ctx } = fleet.current;
  await createProject(fleet.current, { schedule: "0 * * * *" });
  await trigger(fleet.current);
  await operate("POST", "/v1/settings/pause", { reason: "fire" });
  expect((await master.poll()).lease).toBeNull();
  expect((await operate("POST", "/v1/projects/debian/sync")).body.detail).toContain("paused");
  clock.offsetSeconds = 3 * 3600;
  await materialiseDue(ctx);
  expect(await runs()).toHaveLength(1);
  await operate("POST", "/v1/settings/resume");
  expect(openLease(await master.poll()).sync.project).toBe("debian");
  await materialiseDue(ctx);
  const scheduled = (await runs()).filter(({ trigger: by }: any) => by === "schedule");
  // One stands for those which were missed before the latest; that came while the manual one pulled.
  expect(scheduled.map(({ reason }: any) => reason).toSorted()).toEqual([
    expect.stringContaining("missed, with all that were due before"),
    expect.stringContaining("still pulling"),
  ]);
});

test("an emergency stop cancels what waits and asks for the end of what runs", async () => {
  const { operate, master } = fleet.current;
  await createProject(fleet.current);
  await createProject(fleet.current, { name: "waiting" });
  await trigger(fleet.current);
  const lease = openLease(await master.poll());
  await operate("POST", "/v1/projects/waiting/sync");
  await operate("POST", "/v1/settings/pause", { cancelRunning: true });
  expect(
    Object.fromEntries((await runs()).map(({ project, state }: any) => [project, state])),
  ).toEqual({ debian: "running", waiting: "cancelled" });
  const heartbeat = await fleet.current.app.request(`/v1/tasks/${lease.taskId}/heartbeat`, {
    method: "POST",
    headers: { authorization: `Bearer ${lease.token}` },
    body: '{"progress":null}',
  });
  expect(await heartbeat.json()).toMatchObject({ cancel: true });
});
