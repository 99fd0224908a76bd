import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, trigger, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();
const path = "/v1/projects/debian";

async function request(
  method: string,
  {
    body,
    headers = {},
    at = path,
  }: { body?: unknown; headers?: Record<string, string>; at?: string },
) {
  const response = await fleet.current.app.request(at, {
    method,
    headers: { authorization: `Bearer ${fleet.current.admin}`, ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return {
    status: response.status,
    etag: response.headers.get("etag"),
    body: (await response.json()) as any,
  };
}

test("a change that names the version it has seen is refused when somebody was faster", async () => {
  await createProject(fleet.current);
  const { etag } = await request("GET", {});
  expect(etag).toBe('"1"');
  const first = await request("PATCH", {
    body: { description: "first" },
    headers: { "if-match": etag! },
  });
  expect(first).toMatchObject({ status: 200, etag: '"2"' });
  const second = await request("PATCH", {
    body: { description: "second" },
    headers: { "if-match": etag! },
  });
  expect(second).toMatchObject({ status: 412, body: { code: "precondition-failed" } });
  expect((await request("GET", {})).body.description).toBe("first");
});

test("a patch changes what it names, null returns a field to its default, and the rest stays", async () => {
  await createProject(fleet.current, { schedule: "0 4 * * *", maxAttempts: 7 });
  const { body } = await request("PATCH", {
    body: { rsync: { bandwidthKiBps: 100 }, schedule: null },
  });
  expect(body).toMatchObject({
    schedule: null,
    nextRunAt: null,
    maxAttempts: 7,
    rsync: { bandwidthKiBps: 100, delete: true },
  });
});

test("an unknown field is named, with the known one that is nearest", async () => {
  await createProject(fleet.current);
  for (const [method, body] of [
    ["PATCH", { scedule: "0 4 * * *" }],
    ["PUT", { scedule: "0 4 * * *" }],
  ] as const) {
    const answer = await request(method, { body });
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toEqual([
      { field: "scedule", message: 'is not a known field: did you mean "schedule"?' },
    ]);
  }
  const nested = await request("PATCH", { body: { rsync: { bandwith: 1 } } });
  expect(nested.body.errors[0].field).toBe("rsync.bandwith");
});

test("replacing a project returns what is left out to its default", async () => {
  await createProject(fleet.current, { schedule: "0 4 * * *", maxAttempts: 7 });
  const { body } = await request("PUT", { body: { upstream: "rsync://b.example/debian" } });
  expect(body).toMatchObject({
    schedule: null,
    maxAttempts: 3,
    upstream: "rsync://b.example/debian",
  });
});

test("with another path every host pulls the project anew", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  for (const agent of [fleet.current.master, fleet.current.ftp1, fleet.current.ftp2])
    await work(fleet.current, { agent });
  const { body } = await request("PATCH", { body: { path: "pub/debian" } });
  expect(body.replicas.map(({ generation }: any) => generation)).toEqual([0, 0, 0]);
  expect((await fleet.current.ftp1.poll()).lease).toBeNull();
  const { sync } = await work(fleet.current, {
    agent: fleet.current.master,
    result: { changes: 9 },
  });
  expect(sync.steps[0].destination).toBe("pub/debian");
  const next = await work(fleet.current, { agent: fleet.current.ftp1 });
  expect(next.sync.steps[0]).toMatchObject({
    destination: "pub/debian",
    sources: [{ source: { path: "pub/debian" } }],
  });
});

test("a path does not change under a host that works, and what waits for the old one is cancelled", async () => {
  const { master, ftp1, operate } = fleet.current;
  await createProject(fleet.current);
  await trigger(fleet.current);
  const lease = openLease(await master.poll());
  expect(await request("PATCH", { body: { path: "pub/debian" } })).toMatchObject({ status: 409 });
  await fleet.current.app.request(`/v1/tasks/${lease.taskId}/result`, {
    method: "POST",
    headers: { authorization: `Bearer ${lease.token}` },
    body: JSON.stringify(testResult()),
  });
  expect((await request("PATCH", { body: { path: "pub/debian" } })).status).toBe(200);
  expect((await operate("GET", "/v1/runs")).body.items.map(({ state }: any) => state)).toEqual([
    "running",
    "cancelled",
  ]);
  expect((await ftp1.poll()).lease).toBeNull();
});

test("a project on which a host works is not removed, one that rests is, with its runs and logs", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  expect(await request("DELETE", {})).toMatchObject({ status: 409 });
  await fleet.current.app.request(`/v1/tasks/${lease.taskId}/log?offset=0`, {
    method: "POST",
    headers: { authorization: `Bearer ${lease.token}` },
    body: "hello",
  });
  await fleet.current.app.request(`/v1/tasks/${lease.taskId}/result`, {
    method: "POST",
    headers: { authorization: `Bearer ${lease.token}` },
    body: JSON.stringify({
      outcome: "fatal",
      exitCode: 1,
      message: "",
      changes: 0,
      stats: null,
      seconds: 1,
      logBytes: 5,
    }),
  });
  expect(await request("DELETE", {})).toMatchObject({ status: 200 });
  const {
    rows: [left],
  } = await fleet.current.ctx.db.execute(
    sql`select (select count(*)::int from runs) runs, (select count(*)::int from log_chunks) logs`,
  );
  expect(left).toEqual({ runs: 0, logs: 0 });
});

test("a clone differs in what it names, and copies no login", async () => {
  await createProject(fleet.current, {
    maxAttempts: 9,
    login: { user: "mirror", password: "very-secret" },
  });
  const { status, body } = await request("POST", {
    at: `${path}/clone`,
    body: { name: "debian2", upstream: "rsync://b.example/debian2" },
  });
  expect(status).toBe(201);
  expect(body).toMatchObject({ name: "debian2", path: "debian2", maxAttempts: 9, login: null });
});

test.each([
  [{ parts: [{ path: "a", upstream: "rsync://a.example/a" }] }, "parts"],
  [{ upstream: null, fallbacks: ["rsync://a.example/a"] }, "fallbacks"],
  [{ fallbacks: ["rsync://-e/a"] }, "fallbacks.0"],
  [
    {
      upstream: null,
      parts: [
        { path: "a", upstream: "rsync://a.example/a" },
        { path: "a/b", upstream: "rsync://a.example/b" },
      ],
    },
    "parts.1.path",
  ],
  [{ upstream: null, parts: [{ path: "../a", upstream: "rsync://a.example/a" }] }, "parts.0.path"],
  [{ login: { user: "mirror" } }, "login.password"],
  [{ login: { user: "mirror", password: "x", host: "other.example" } }, "login.host"],
  [{ login: { user: "-e", password: "x" } }, "login.user"],
  [{ login: { user: "mirror", password: "x\ny" } }, "login.password"],
  [{ startsAt: "2030-01-01T00:00:00Z", endsAt: "2029-01-01T00:00:00Z" }, "endsAt"],
  [{ schedule: "0 0 * * *", endsAt: "2020-01-01T00:00:00Z" }, "schedule"],
  [{ quiet: [{ from: "25:00", to: "08:00" }] }, "quiet.0.from"],
  [
    {
      quiet: [
        { from: "00:00", to: "12:00" },
        { from: "12:00", to: "00:00" },
      ],
    },
    "quiet",
  ],
  [{ labels: { "Bad Key": "x" } }, "labels.Bad Key"],
])("%j is refused and names the field", async (input, field) => {
  const answer = await createProject(fleet.current, input);
  expect(answer.status).toBe(422);
  expect(answer.body.errors.map((error: any) => error.field)).toContain(field);
});

test("a change of something else neither loses an occurrence that is due nor asks whether a schedule is over", async () => {
  const { ctx, operate } = fleet.current;
  await createProject(fleet.current, { schedule: "0 4 * * *", endsAt: "2999-01-01T00:00:00Z" });
  await ctx.db.execute(sql`update projects set next_run_at = now() - interval '1 hour'`);
  const due = (await operate("GET", path)).body.nextRunAt;
  const changed = await operate("PATCH", path, { description: "new" });
  expect(changed).toMatchObject({ status: 200, body: { nextRunAt: due } });
  await ctx.db.execute(
    sql`update projects set ends_at = '2020-01-01T00:00:00Z', next_run_at = null`,
  );
  expect((await operate("PATCH", path, { description: "newer" })).status).toBe(200);
  expect((await operate("PATCH", path, { schedule: "0 5 * * *" })).status).toBe(422);
});

test("an FTP host's replica names the master that it pulls from", async () => {
  const { body } = await createProject(fleet.current);
  expect(body.replicas.map(({ host, source }: any) => [host, source])).toEqual([
    ["master", "rsync://upstream.example.org/debian"],
    ["ftp1", "master"],
    ["ftp2", "master"],
  ]);
});

test("a push token ends with its project: another of that name is not its own", async () => {
  const { operate } = fleet.current;
  await createProject(fleet.current);
  const push = { name: "p", scope: "trigger:debian" };
  const { token } = (await operate("POST", "/v1/tokens", push)).body;
  await operate("DELETE", "/v1/projects/debian");
  await createProject(fleet.current);
  const pushed = await operate("POST", "/v1/projects/debian/sync", undefined, token);
  expect(pushed).toMatchObject({ status: 401, body: { code: "not-authenticated" } });
});
