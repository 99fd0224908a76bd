import { expect, test } from "vitest";
import { materialiseDue } from "../../../control-plane/schedule/materialise.ts";
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
