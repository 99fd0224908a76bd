import { expect, test } from "vitest";
import { report, testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();

async function twoPulls() {
  for (const name of ["one", "two"]) {
    await createProject(fleet.current, { name });
    await fleet.current.operate("POST", `/v1/projects/${name}/sync`);
  }
}

test("an upstream is asked by as many pulls at a time as the settings say", async () => {
  const { operate, master } = fleet.current;
  await operate("PATCH", "/v1/settings", { upstreamParallel: 1 });
  await twoPulls();
  expect(openLease(await master.poll()).sync.project).toBe("one");
  expect((await master.poll()).lease).toBeNull();
  await operate("PATCH", "/v1/settings", { upstreamParallelOf: { "upstream.example.org": 2 } });
  expect(openLease(await master.poll()).sync.project).toBe("two");
});

test("a pull that waits for its upstream begins as soon as the other has ended", async () => {
  const { operate, master } = fleet.current;
  await operate("PATCH", "/v1/settings", { upstreamParallel: 1 });
  await twoPulls();
  const answer = await master.poll();
  const first = openLease(answer);
  const held = master.poll({
    waitSeconds: 20,
    daemonUsersVersion: answer.daemonUsersVersion,
  });
  await fleet.current.app.request(`/v1/tasks/${first.taskId}/result`, {
    method: "POST",
    headers: { authorization: `Bearer ${first.token}` },
    body: JSON.stringify({
      outcome: "ok",
      exitCode: 0,
      message: "",
      changes: 0,
      stats: null,
      seconds: 1,
      logBytes: 0,
    }),
  });
  expect(openLease(await held).sync.project).toBe("two");
});

test("a host has as many tasks at a time as it is allowed", async () => {
  const { operate, master } = fleet.current;
  await operate("PATCH", "/v1/hosts/master", { parallel: 1 });
  await twoPulls();
  await master.poll();
  expect((await master.poll()).lease).toBeNull();
});

test("a project of several parts is one order whose steps stand in the given order, each with its fallbacks", async () => {
  const { operate, master, ftp1 } = fleet.current;
  await createProject(fleet.current, {
    name: "fedora",
    upstream: null,
    parts: [
      { path: "epel", upstream: "rsync://a.example/epel", fallbacks: ["rsync://b.example/epel"] },
      { path: "linux", upstream: "rsync://a.example/fedora" },
    ],
  });
  await operate("POST", "/v1/projects/fedora/sync");
  const { sync } = await work(fleet.current, { agent: master });
  expect(
    sync.steps.map(({ destination, sources }: any) => [
      destination,
      sources.map(({ source }: any) => `${source.host}/${source.module}`),
    ]),
  ).toEqual([
    ["fedora/epel", ["a.example/epel", "b.example/epel"]],
    ["fedora/linux", ["a.example/fedora"]],
  ]);
  const fromMaster = openLease(await ftp1.poll());
  expect(fromMaster.sync.steps).toMatchObject([{ destination: "fedora" }]);
});

test("filters keep their order, and FTP hosts take what the master has", async () => {
  const filters = [
    { action: "include", pattern: "/dists/" },
    { action: "exclude", pattern: "*.iso" },
    { action: "include", pattern: "*" },
  ] as const;
  await createProject(fleet.current, { rsync: { filters: [...filters] } });
  await fleet.current.operate("POST", "/v1/projects/debian/sync");
  const { sync } = await work(fleet.current, { agent: fleet.current.master });
  expect(sync.options.filters).toEqual(filters);
  expect(openLease(await fleet.current.ftp1.poll()).sync.options.filters).toEqual([]);
});

test("an attempt that begins in a bandwidth window gets its limit, another the project's", async () => {
  const { operate, clock, master } = fleet.current;
  await createProject(fleet.current, {
    rsync: { bandwidthKiBps: 5000 },
    bandwidthWindows: [{ from: "08:00", to: "18:00", bandwidthKiBps: 100 }],
  });
  const limitAt = async (hour: number) => {
    const now = new Date();
    clock.offsetSeconds = ((hour - now.getUTCHours() + 24) % 24) * 3600;
    await operate("POST", "/v1/projects/debian/sync");
    const { sync } = await work(fleet.current, { agent: master, result: { changes: 0 } });
    return sync.options.bandwidthKiBps;
  };
  expect(await limitAt(9)).toBe(100);
  expect(await limitAt(20)).toBe(5000);
});

test("a scheduled or pushed pull trusts the sentinel, one by hand scans; a run that found nothing says unchanged", async () => {
  const { operate, master } = fleet.current;
  await createProject(fleet.current, { sentinel: "project/trace/master", scanEveryHours: 6 });
  const { id } = (await operate("POST", "/v1/projects/debian/sync")).body;
  const byHand = await work(fleet.current, { agent: master });
  expect(byHand.sync).toMatchObject({
    scanEverySeconds: 0,
    steps: [{ sentinel: "project/trace/master" }],
  });
  const { token } = (await operate("POST", "/v1/tokens", { name: "p", scope: "trigger:debian" }))
    .body;
  for (const agent of [fleet.current.ftp1, fleet.current.ftp2])
    await work(fleet.current, { agent });
  expect((await operate("GET", `/v1/runs/${id}`)).body.reason).toBeNull();
  const pushed = (await operate("POST", "/v1/projects/debian/sync", undefined, token)).body;
  const { sync } = await work(fleet.current, { agent: master, result: { changes: 0 } });
  expect(sync.scanEverySeconds).toBe(6 * 3600);
  expect((await operate("GET", `/v1/runs/${pushed.id}`)).body).toMatchObject({
    state: "succeeded",
    reason: "unchanged",
  });
});

test("a master serves as many FTP hosts at a time as it is allowed; the next begins when one has ended", async () => {
  const { operate, master, ftp1, ftp2 } = fleet.current;
  await operate("PATCH", "/v1/hosts/master", { serves: 1 });
  await createProject(fleet.current);
  await operate("POST", "/v1/projects/debian/sync");
  await work(fleet.current, { agent: master });
  const first = openLease(await ftp1.poll());
  const held = ftp2.poll({ waitSeconds: 20 });
  expect((await ftp2.poll()).lease).toBeNull();
  await report(fleet.current, { ...first, kind: "result", body: testResult() });
  expect(openLease(await held).sync.project).toBe("debian");
  expect((await master.request("GET", "/v1/agent/daemon-users")).body.serves).toBe(1);
});
