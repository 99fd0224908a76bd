import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { evaluateAlerts } from "../../../control-plane/alerts/evaluate.ts";
import { createApp } from "../../../control-plane/http/app.ts";
import { openShare } from "../../../control-plane/sharing.ts";
import { openAlerts } from "../../helpers/alerts.ts";
import { createProject, trigger, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();
const site = { url: "https://mirrors.example.org", abbr: "EX", name: "Example & <Sons>" };

const get = (path: string, headers: Record<string, string> = {}) =>
  fleet.current.app.request(path, { headers });
const jsonOf = async (path: string) => (await get(path)).json() as Promise<any>;

const stats = {
  files: 12,
  created: 1,
  deleted: 0,
  transferred: 1,
  totalBytes: 55_614_000_000,
  transferredBytes: 10,
  literalBytes: 10,
  matchedBytes: 0,
  sentBytes: 20,
  receivedBytes: 300,
};

const fields = {
  public: true,
  schedule: "0 0 1 1 *",
  zone: "UTC",
  description: 'The "universal" <b>system</b> & \u{1F600}',
  hosts: ["ftp1"],
};

async function pullWell() {
  const { master, ftp1 } = fleet.current;
  await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { scanned: true, stats } });
  await work(fleet.current, { agent: ftp1 });
}

async function pullBadly() {
  await trigger(fleet.current);
  const result = { outcome: "fatal" as const, exitCode: 1, message: "secret.example.org said no" };
  await work(fleet.current, { agent: fleet.current.master, result });
}

/** tunasync's own rules for a job. */
function checkJob(job: any) {
  const { name, is_master, status, upstream, size, ...times } = job;
  expect([typeof name, is_master, typeof upstream]).toEqual(["string", true, "string"]);
  expect(status).toMatch(/^(none|failed|success|syncing|pre-syncing|paused|disabled)$/);
  expect(size).toMatch(/^(unknown|\d+(\.\d\d)?[KMGTP]?)$/);
  const names = ["last_update", "last_started", "last_ended", "next_schedule"];
  expect(Object.keys(times)).toEqual(names.flatMap((each) => [each, `${each}_ts`]));
  for (const each of names) {
    const [, at, zone] = /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (\+0000)$/.exec(times[each])!;
    expect(zone).toBe("+0000");
    expect(Date.parse(`${at!.replace(" ", "T")}Z`) / 1000).toBe(times[`${each}_ts`]);
  }
}

test("only public projects are shown, to everybody, and nothing that is not theirs to know", async () => {
  await createProject(fleet.current, { name: "unlisted", path: "unlisted" });
  await createProject(fleet.current, {
    ...fields,
    login: { user: "mirror", password: "very-secret" },
  });
  await pullWell();
  await pullBadly();
  await fleet.current.operate("PATCH", "/v1/settings", { site });
  for (const path of [
    "/v1/public/status",
    "/tunasync.json",
    "/jobs",
    "/mirrorz.json",
    "/feed.atom",
    "/status",
  ]) {
    const answer = await get(path);
    expect([path, answer.status]).toEqual([path, 200]);
    expect(await answer.text()).not.toMatch(
      /unlisted|very-secret|mirror"|secret\.example|127\.0\.0/,
    );
  }
});

test("the own format says how a project's pull went and how fresh each host is", async () => {
  await createProject(fleet.current, fields);
  expect((await jsonOf("/v1/public/status")).projects[0]).toMatchObject({
    state: "none",
    bytes: null,
    updatedAt: null,
    hosts: [{ host: "ftp1", fresh: false, freshAt: null }],
  });
  await pullWell();
  const [good] = (await jsonOf("/v1/public/status")).projects;
  expect(good).toMatchObject({
    name: "debian",
    path: "debian",
    upstream: "rsync://upstream.example.org/debian",
    state: "succeeded",
    bytes: 55_614_000_000,
    files: 12,
    hosts: [{ host: "ftp1", fresh: true }],
  });
  await pullBadly();
  const [bad] = (await jsonOf("/v1/public/status")).projects;
  expect(bad).toMatchObject({ state: "failed", updatedAt: good.updatedAt });
  expect(Date.parse(bad.endedAt)).toBeGreaterThan(Date.parse(good.endedAt));
});

test("the status page says the same to people, and is text whatever projects are called", async () => {
  const { operate } = fleet.current;
  const page = async () => (await (await get("/status")).text()).replaceAll(/\s+/g, " ");
  expect(await page()).toContain("Nothing is published here");
  await operate("PATCH", "/v1/settings", { site });
  await createProject(fleet.current, fields);
  await pullWell();
  const text = await page();
  expect(text).toContain("Example &amp; &lt;Sons&gt;: status");
  expect(text).toContain("&lt;b&gt;system&lt;/b&gt; &amp; \u{1F600}");
  expect(text).toMatch(/<a href="https:\/\/mirrors\.example\.org\/debian\/">debian<\/a>/);
  expect(text).toMatch(/in sync.*<time.*55\.6 GB.*✓<\/span> ftp1/);
  await pullBadly();
  expect(await page()).toMatch(/✗<\/span> failed/);
  const { headers } = await get("/status");
  expect(headers.get("cache-control")).toBe("public, max-age=30");
  expect(headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(headers.get("set-cookie")).toBeNull();
});

test("tunasync.json follows tunasync's rules in every state", async () => {
  const { master } = fleet.current;
  await createProject(fleet.current, fields);
  const statuses: string[] = [];
  const look = async () => {
    const [job] = await jsonOf("/tunasync.json");
    checkJob(job);
    statuses.push(job.status);
    return job;
  };
  expect(await look()).toMatchObject({
    size: "unknown",
    last_update: "0001-01-01 00:00:00 +0000",
    last_update_ts: -62_135_596_800,
  });
  await trigger(fleet.current);
  await look();
  await master.poll();
  await look();
  expect(statuses).toEqual(["none", "pre-syncing", "syncing"]);
});

test("success moves last_update, failure does not, and a pause is one", async () => {
  await createProject(fleet.current, fields);
  await pullWell();
  const [good] = await jsonOf("/jobs");
  checkJob(good);
  expect(good).toMatchObject({ status: "success", size: "55.61G" });
  await pullBadly();
  const [bad] = await jsonOf("/jobs");
  checkJob(bad);
  expect(bad).toMatchObject({ status: "failed", last_update: good.last_update });
  await fleet.current.operate("POST", "/v1/projects/debian/pause");
  const [paused] = await jsonOf("/jobs");
  checkJob(paused);
  expect(paused.status).toBe("paused");
});

test("mirrorz.json needs a site, and follows version 1.7", async () => {
  const { operate } = fleet.current;
  await createProject(fleet.current, fields);
  expect((await get("/mirrorz.json")).status).toBe(404);
  const refused = await operate("PATCH", "/v1/settings", { site: { url: "ftp://x", abbr: "EX" } });
  expect(refused.body.errors[0].field).toBe("site.url");
  await operate("PATCH", "/v1/settings", { site });
  const status = async () => (await jsonOf("/mirrorz.json")).mirrors[0].status;
  expect(await status()).toBe("U");
  await pullWell();
  const answer = await jsonOf("/mirrorz.json");
  expect(answer).toMatchObject({ version: 1.7, site, info: [] });
  expect(answer.mirrors[0]).toEqual({
    cname: "debian",
    desc: fields.description,
    url: "/debian",
    status: expect.stringMatching(/^S\d{10}X\d{10}$/),
    help: "",
    upstream: "rsync://upstream.example.org/debian",
    size: "55.61G",
  });
  await pullBadly();
  expect(await status()).toMatch(/^F\d{10}O\d{10}X\d{10}$/);
  await trigger(fleet.current);
  expect(await status()).toMatch(/^D\d{10}X\d{10}$/);
  await fleet.current.master.poll();
  expect(await status()).toMatch(/^Y\d{10}O\d{10}X\d{10}$/);
  await operate("POST", "/v1/projects/debian/pause");
  expect(await status()).toMatch(/^P\d{10}$/);
});

test("an undo is no pull: it moves no time, is no recovery, and ends no alert", async () => {
  const { operate, master, ctx } = fleet.current;
  await createProject(fleet.current, fields);
  await pullWell();
  const [good] = await jsonOf("/tunasync.json");
  for (const _ of [1, 2, 3]) await pullBadly();
  const [bad] = await jsonOf("/tunasync.json");
  await operate("POST", "/v1/projects/debian/undo");
  await work(fleet.current, { agent: master, result: { changes: 3, stats: null } });
  await work(fleet.current, { agent: fleet.current.ftp1 });
  await operate("POST", "/v1/projects/debian/resume");
  const [after] = await jsonOf("/tunasync.json");
  expect(after).toMatchObject({ status: "failed", last_update_ts: good.last_update_ts });
  expect(after.last_ended_ts).toBe(bad.last_ended_ts);
  expect(await (await get("/feed.atom")).text()).not.toContain("recovered");
  await evaluateAlerts(ctx);
  expect(await openAlerts(fleet.current)).toContain("failed debian");
  const text = await (
    await get("/metrics", { authorization: `Bearer ${fleet.current.admin}` })
  ).text();
  expect(text).toContain('mirrorfleet_last_pull_received_bytes{project="debian"} 300');
});

test("while the whole fleet is paused every project is", async () => {
  const { operate } = fleet.current;
  await operate("PATCH", "/v1/settings", { site });
  await createProject(fleet.current, fields);
  await pullWell();
  await operate("POST", "/v1/settings/pause", { reason: "the array is rebuilt" });
  expect((await jsonOf("/tunasync.json"))[0].status).toBe("paused");
  expect((await jsonOf("/mirrorz.json")).mirrors[0].status).toMatch(/^P\d{10}$/);
  expect((await jsonOf("/v1/public/status")).projects[0].state).toBe("paused");
  await operate("POST", "/v1/settings/resume");
  expect((await jsonOf("/tunasync.json"))[0].status).toBe("success");
});

const hasXmllint = spawnSync("xmllint", ["--version"]).status === 0;

test("the feed tells each failure and each recovery once, with ids and times that stay", async () => {
  await fleet.current.operate("PATCH", "/v1/settings", { site });
  await createProject(fleet.current, fields);
  const feed = async () => (await get("/feed.atom")).text();
  const titles = (text: string) => [...text.matchAll(/<title>(debian[^<]*)/g)].map(([, t]) => t);
  expect(titles(await feed())).toEqual([]);
  await pullWell();
  await pullBadly();
  await pullBadly();
  const failed = await feed();
  expect(titles(failed)).toEqual(["debian failed"]);
  await pullWell();
  await pullWell();
  const text = await feed();
  expect(titles(text)).toEqual(["debian recovered", "debian failed"]);
  const entryOf = (of: string) => of.slice(of.lastIndexOf("<entry>"));
  expect(entryOf(text)).toBe(entryOf(failed));
  const ids = [...text.matchAll(/<id>([^<]+)<\/id>/g)].map(([, each]) => each);
  expect(new Set(ids).size).toBe(3);
  expect(text).toContain("<author><name>Example &amp; &lt;Sons&gt;</name></author>");
  expect(text).toMatch(/^<\?xml version="1.0" encoding="utf-8"\?>\n<feed /);
  // RFC 4287: one id, title and updated each, and the feed's updated is its latest entry's.
  const [own, ...entries] = text.split("<entry>");
  for (const each of [own!, ...entries])
    for (const element of ["id", "title", "updated"])
      expect([element, each.match(new RegExp(`<${element}>`, "g"))?.length]).toEqual([element, 1]);
  const updated = [...text.matchAll(/<updated>([^<]+)/g)].map(([, at]) => at!);
  expect(updated[0]).toBe(updated.slice(1).toSorted().at(-1));
  if (hasXmllint) expect(spawnSync("xmllint", ["--noout", "-"], { input: text }).status).toBe(0);
});

test("caches keep an answer for half a minute, and hear that it is the same", async () => {
  await createProject(fleet.current, fields);
  const { headers } = await get("/v1/public/status");
  expect(headers.get("cache-control")).toBe("public, max-age=30");
  expect(headers.get("access-control-allow-origin")).toBe("*");
  const etag = headers.get("etag")!;
  expect((await get("/v1/public/status", { "if-none-match": etag })).status).toBe(304);
  await pullWell();
  expect((await get("/v1/public/status", { "if-none-match": etag })).status).toBe(200);
  expect((await get("/v1/projects")).headers.get("cache-control")).toBe("no-store");
});

test("however many ask, the database is asked once in a while; what is missing is not kept", async () => {
  const { ctx, operate } = fleet.current;
  const asked = { queries: 0 };
  const db = new Proxy(ctx.db, {
    get: (target, name) => {
      if (name === "execute" || name === "select") asked.queries += 1;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const app = createApp({ ...ctx, db, share: openShare({ milliseconds: 60_000 }) });
  const health = "/v1/public/hosts/ftp1/projects/debian/health";
  expect((await app.request("/mirrorz.json")).status).toBe(404);
  await operate("PATCH", "/v1/settings", { site });
  await createProject(fleet.current, fields);
  await pullWell();
  expect((await app.request("/mirrorz.json")).status).toBe(200);
  asked.queries = 0;
  const paths = ["/v1/public/status", "/tunasync.json", "/jobs", "/feed.atom", "/mirrorz.json"];
  for (let round = 0; round < 5; round++) {
    const asking = [...paths, health].map(async (path) => app.request(path));
    for (const answer of await Promise.all(asking)) expect(answer.status).toBe(200);
  }
  expect(asked.queries).toBeLessThan(10);
  expect((await app.request(health)).headers.get("cache-control")).toBe("public, max-age=5");
  expect((await app.request(health.replace("ftp1", "ftp2"))).headers.get("cache-control")).toBe(
    "no-store",
  );
  await pullBadly();
  const jobs = (await (await app.request("/jobs")).json()) as { status: string }[];
  expect(jobs[0]!.status).toBe("success");
});
