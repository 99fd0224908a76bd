import { report, testResult } from "../../helpers/control-plane.ts";
import { expect, test } from "vitest";
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
const dryRun = {
  created: { entries: 1200, examples: ["pool/<b>a</b>"] },
  changed: { entries: 0, examples: [] },
  deleted: { entries: 3, examples: ["pool/old"] },
  bytes: 5_000_000,
  files: 1300,
  totalBytes: 9_000_000,
  held: null,
};
const found = { outcome: "ok" as const, changes: 0, stats: null, dryRun };
const project = async () => (await fleet.current.operate("GET", "/v1/projects/debian")).body;

test("a dry run is a task on the master alone, publishes nothing, and its answer stands in its run", async () => {
  const { operate, master, ftp1 } = fleet.current;
  await createProject(fleet.current, { public: true });
  const { status, body: run } = await operate("POST", "/v1/projects/debian/dry-run");
  expect(status).toBe(201);
  expect(run).toMatchObject({ trigger: "dry-run", state: "running", tasks: [{ dryRun: true }] });
  const { sync } = await work(fleet.current, { agent: master, result: found });
  expect(sync).toMatchObject({ dryRun: true, publish: null, carry: null, undo: null });
  expect(await readRun(fleet.current, run)).toMatchObject({
    state: "succeeded",
    generation: null,
    tasks: [{ result: { dryRun } }],
  });
  expect((await ftp1.poll()).lease).toBeNull();
  const { generation, replicas } = await project();
  expect(generation).toBe(0);
  expect(replicas).toMatchObject([{ freshAt: null, syncedAt: null }, {}, {}]);
  const { body: shown } = await operate("GET", "/v1/public/status");
  expect(shown.projects).toMatchObject([{ name: "debian", state: "none", endedAt: null }]);
  await trigger(fleet.current);
  const { sync: pull } = await work(fleet.current, { agent: master });
  expect(pull).toMatchObject({ publish: 1 });
  expect(pull).not.toHaveProperty("dryRun");
  expect((await ftp1.poll()).lease).not.toBeNull();
});

test("dry runs that fail are no failures of the project, and leave held deletions to be decided", async () => {
  const { operate, master } = fleet.current;
  await createProject(fleet.current);
  await trigger(fleet.current);
  const held = { deletions: 90, entries: 100, examples: [], directories: [] };
  const { taskId } = await work(fleet.current, {
    agent: master,
    result: { outcome: "held", changes: 0, held },
  });
  for (let count = 0; count < 3; count++) {
    await operate("POST", "/v1/projects/debian/dry-run");
    await work(fleet.current, {
      agent: master,
      result: { outcome: "fatal", changes: 0, stats: null },
    });
  }
  expect((await operate("GET", "/v1/status")).body.held).toMatchObject([{ task: taskId }]);
  await operate("POST", "/v1/tick");
  const { body: alerts } = await operate("GET", "/v1/alerts?condition=failed");
  expect(alerts.items).toEqual([]);
  const metrics = await (
    await fleet.current.app.request("/metrics", {
      headers: { authorization: `Bearer ${fleet.current.admin}` },
    })
  ).text();
  expect(metrics).toContain('mirrorfleet_runs_total{project="debian",state="failed"} 1');
  const [failed] = await listRuns(fleet.current);
  const { body: again } = await operate("POST", `/v1/runs/${failed.id}/retry`);
  expect(again.trigger).toBe("dry-run");
  expect((await operate("POST", `/v1/tasks/${taskId}/approve`)).status).toBe(201);
});

test("a sync that is asked for during a dry run waits for its end; none begins during a pull, or where there is no upstream", async () => {
  const { operate, master } = fleet.current;
  await createProject(fleet.current);
  await createProject(fleet.current, { name: "ours", upstream: null });
  const dry = (name: string) => operate("POST", `/v1/projects/${name}/dry-run`);
  expect((await dry("ours")).body.detail).toContain("hosted here");
  await operate("POST", "/v1/projects/debian/pause");
  const { body: run } = await dry("debian");
  expect((await dry("debian")).status).toBe(409);
  await operate("POST", "/v1/projects/debian/resume");
  const waiting = await trigger(fleet.current);
  expect(waiting.state).toBe("queued");
  // Cancelled while it is leased: the agent hears of it, and the sync that waits begins.
  const lease = openLease(await master.poll());
  expect(lease.sync.dryRun).toBe(true);
  await operate("POST", `/v1/runs/${run.id}/cancel`);
  const say = (kind: "heartbeat" | "result", body: unknown) =>
    report(fleet.current, { ...lease, kind, body });
  expect((await say("heartbeat", { progress: null })).body.cancel).toBe(true);
  expect((await readRun(fleet.current, waiting)).state).toBe("queued");
  await say("result", testResult({ outcome: "cancelled", changes: 0 }));
  expect((await readRun(fleet.current, run)).state).toBe("cancelled");
  expect((await readRun(fleet.current, waiting)).state).toBe("running");
  expect(openLease(await master.poll()).sync).toMatchObject({ publish: 1 });
});
