import { expect, test } from "vitest";
import { testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, readRun, trigger, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();
const held = {
  deletions: 500,
  entries: 1000,
  examples: ["pool/a.deb"],
  directories: [{ path: "pool/main", deletions: 400 }],
};
const isHeld = { outcome: "held" as const, changes: 0, held };
const heldNow = async () => (await fleet.current.operate("GET", "/v1/status")).body.held;

/** The master's task, which holds 500 deletions. */
async function hold() {
  await createProject(fleet.current);
  await trigger(fleet.current);
  return work(fleet.current, { agent: fleet.current.master, result: isHeld });
}

test("held deletions wait in the status, and approved they go once, no more than were named", async () => {
  const { operate, master } = fleet.current;
  const { taskId } = await hold();
  expect(await heldNow()).toEqual([
    { task: taskId, project: "debian", host: "master", deletions: 500, entries: 1000 },
  ]);
  const { status, body } = await operate("POST", `/v1/tasks/${taskId}/approve`);
  expect(status).toBe(201);
  expect(openLease(await master.poll()).sync.limits.approvedDeletions).toBe(500);
  expect(await readRun(fleet.current, body)).toMatchObject({ trigger: "manual" });
  expect(await heldNow()).toEqual([]);
  expect((await operate("POST", `/v1/tasks/${taskId}/approve`)).status).toBe(409);
});

test("an FTP host's held deletions are approved for that host alone", async () => {
  const { operate, master, ftp1, ftp2 } = fleet.current;
  await createProject(fleet.current);
  await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  const { taskId } = await work(fleet.current, { agent: ftp1, result: isHeld });
  await work(fleet.current, { agent: ftp2 });
  await operate("POST", `/v1/tasks/${taskId}/approve`);
  expect(openLease(await ftp1.poll()).sync.limits.approvedDeletions).toBe(500);
  expect((await ftp2.poll()).lease).toBeNull();
  expect((await master.poll()).lease).toBeNull();
});

test("dismissed deletions are not asked about again, until another sync holds some", async () => {
  const { operate, master } = fleet.current;
  const { taskId } = await hold();
  const { status, body } = await operate("POST", `/v1/tasks/${taskId}/dismiss`);
  expect(status).toBe(200);
  expect(body.dismissedAt).not.toBeNull();
  expect(await heldNow()).toEqual([]);
  expect((await operate("POST", `/v1/tasks/${taskId}/approve`)).status).toBe(409);
  await trigger(fleet.current);
  const again = await work(fleet.current, { agent: master, result: isHeld });
  expect(await heldNow()).toMatchObject([{ task: again.taskId }]);
});

test("a task that holds nothing can neither be approved nor dismissed", async () => {
  const { operate, master } = fleet.current;
  await createProject(fleet.current);
  await trigger(fleet.current);
  const { taskId } = await work(fleet.current, { agent: master });
  for (const decision of ["approve", "dismiss"])
    expect(await operate("POST", `/v1/tasks/${taskId}/${decision}`)).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining("holds no deletions") },
    });
});

test("an undo pauses the project, brings back on the master, and the FTP hosts follow", async () => {
  const { operate, master, ftp1 } = fleet.current;
  await createProject(fleet.current, { schedule: "0 * * * *" });
  await trigger(fleet.current);
  await work(fleet.current, { agent: master });
  await work(fleet.current, { agent: ftp1 });
  const { status, body: run } = await operate("POST", "/v1/projects/debian/undo");
  expect(status).toBe(201);
  expect(run).toMatchObject({ trigger: "undo", state: "running" });
  expect((await operate("GET", "/v1/projects/debian")).body).toMatchObject({
    paused: true,
    nextRunAt: null,
  });
  const { sync } = await work(fleet.current, { agent: master, result: { changes: 12 } });
  expect(sync).toMatchObject({ undo: run.id, publish: 2 });
  expect(openLease(await ftp1.poll()).sync).toMatchObject({
    undo: null,
    carry: { generation: 2, lists: null },
  });
});

test("no undo during a pull, none of a project that is hosted here, and no retry that would delete again", async () => {
  const { operate, master } = fleet.current;
  await createProject(fleet.current);
  await createProject(fleet.current, { name: "ours", upstream: null });
  expect((await operate("POST", "/v1/projects/ours/undo")).body.detail).toContain("hosted here");
  expect((await operate("GET", "/v1/projects/ours")).body.paused).toBe(false);
  await trigger(fleet.current);
  expect((await operate("POST", "/v1/projects/debian/undo")).body.detail).toContain("cancel it");
  await work(fleet.current, { agent: master, result: testResult({ changes: 0 }) });
  const { body: run } = await operate("POST", "/v1/projects/debian/undo");
  await work(fleet.current, { agent: master, result: { outcome: "fatal" } });
  expect(await operate("POST", `/v1/runs/${run.id}/retry`)).toMatchObject({
    status: 409,
    body: { detail: expect.stringContaining("delete again") },
  });
});
