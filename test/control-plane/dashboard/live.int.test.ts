import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";
import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { versionsForUrl } from "../../../control-plane/dashboard/live.ts";
import { createApp } from "../../../control-plane/http/app.ts";
import { browse } from "../../helpers/browse.ts";
import { createProject, openLease, trigger, useFleet, work } from "../../helpers/fleet.ts";
import { report } from "../../helpers/control-plane.ts";

const fleet = useFleet();

const versionsOf = (page: string) =>
  [...page.matchAll(/data-v="([^"]+)"/g)].map(([, version]) => version).join("");

/** Reads a stream of events until `enough` says so. */
async function readUntil(response: Response, enough: (text: string) => boolean): Promise<string> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!enough(text)) {
    const { value, done } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  await reader.cancel();
  return text;
}

async function open(path: string) {
  const browser = browse(fleet.current.app);
  await browser.post("/sign-in", { token: fleet.current.admin });
  return { ...browser, page: await (await browser.get(path)).text() };
}

test("a fleet page is sent the rows that have changed, and no others", async () => {
  await createProject(fleet.current);
  await createProject(fleet.current, { name: "fedora", upstream: "rsync://a.example/fedora" });
  const { get, page } = await open("/");
  const stream = await get(`/live?v=${encodeURIComponent(versionsOf(page))}`);
  await trigger(fleet.current);
  const { taskId, token } = openLease(await fleet.current.master.poll());
  const progress = {
    bytes: 1,
    percent: 42,
    bytesPerSecond: 1,
    filesTransferred: 0,
    filesChecked: 0,
    filesTotal: 0,
  };
  await report(fleet.current, { taskId, token, kind: "heartbeat", body: { progress } });
  const text = await readUntil(stream, (read) => read.includes("42%"));
  expect(text).toContain('[\\"p-debian\\"'.replaceAll("\\", ""));
  expect(text).not.toContain("p-fedora");
});

test("the stream's URL stays short with thousands of projects, the browser makes it as the server does, and a few rows are sent", async () => {
  const { ctx } = fleet.current;
  await ctx.db.execute(sql`
    with made as (
      insert into projects (name, path, zone, misfire, overlap, rsync, max_attempts,
        wall_clock_seconds, stall_seconds, max_delete_percent)
      select 'p' || n, 'p' || n, 'UTC', 'latest', 'skip', '{}', 3, 3600, 600, 10
      from generate_series(1, 3000) n returning id)
    insert into replicas (project_id, host_id, role)
    select made.id, h.id, 'ftp' from made join hosts h on h.name = 'ftp1'`);
  const { get, page, cookie } = await open("/");
  const versions = [...page.matchAll(/data-v="([^"]+)"/g)].map(([, version]) => version!);
  expect(versions).toHaveLength(3003);
  const script = readFileSync(
    new URL("../../../control-plane/dashboard/assets/versions.js", import.meta.url),
    "utf8",
  );
  const inBrowser = runInNewContext(`${script}; versionsForUrl`) as typeof versionsForUrl;
  for (const count of [0, 1, 255, 256, 257, 3003])
    expect(inBrowser(versions.slice(0, count))).toBe(versionsForUrl(versions.slice(0, count)));
  const v = encodeURIComponent(versionsForUrl(versions));
  expect(v.length).toBeLessThan(2000);
  const url = `/live?n=${versions.length}&v=${v}`;
  expect(await readUntil(await get(url), (text) => text !== "")).toBe(":\n\n");
  await ctx.db.execute(sql`update projects set paused_at = now()
    where name = (select name from projects order by name offset 1500 limit 1)`);
  // Another control plane: this one has read the fleet a moment ago.
  const other = browse(createApp({ ...ctx }));
  other.cookie.value = cookie.value;
  const said = encodeURIComponent(versionsForUrl(versions));
  const text = await readUntil(await other.get(`/live?n=3003&v=${said}`), (read) =>
    read.includes("\n\n"),
  );
  const sent = JSON.parse(/^data: (.*)$/m.exec(text)![1]!) as [string, string][];
  expect(sent.length).toBeLessThan(30);
  expect(sent.filter(([, html]) => html.includes("P paused"))).toHaveLength(1);
  expect(
    await readUntil(await get(`/live?n=3002&v=${said}`), (read) => read.includes("\n\n")),
  ).toContain("event: reload");
});

test("a page that shows what is there already is sent nothing", async () => {
  await createProject(fleet.current);
  const { get, page } = await open("/");
  const stream = await get(`/live?v=${encodeURIComponent(versionsOf(page))}`);
  expect(await readUntil(stream, (text) => text !== "")).toBe(":\n\n");
});

test("what changed between a page and its stream is sent at once; a project more means another page", async () => {
  await createProject(fleet.current);
  const { get, page } = await open("/");
  const v = encodeURIComponent(versionsOf(page));
  await fleet.current.operate("POST", "/v1/projects/debian/pause");
  expect(await readUntil(await get(`/live?v=${v}`), (text) => text.includes("\n\n"))).toContain(
    "P paused",
  );
  await createProject(fleet.current, { name: "fedora", upstream: "rsync://a.example/fedora" });
  const other = await get(`/projects/debian/live?v=`);
  expect(await readUntil(other, (text) => text.includes("\n\n"))).toContain("event: reload");
});

test("a page whose project is removed while it is open is loaded again", async () => {
  const { operate } = fleet.current;
  await createProject(fleet.current, { hosts: [] });
  const { get, page } = await open("/projects/debian");
  const stream = await get(`/projects/debian/live?v=${encodeURIComponent(versionsOf(page))}`);
  await operate("DELETE", "/v1/projects/debian");
  expect(await readUntil(stream, () => false)).toContain("event: reload");
});

test("a host that is invited is not out of contact", async () => {
  const { operate } = fleet.current;
  await operate("POST", "/v1/hosts", { name: "new", roles: ["ftp"], addresses: ["192.0.2.1"] });
  await createProject(fleet.current);
  for (const host of [fleet.current.master, fleet.current.ftp1, fleet.current.ftp2])
    await host.poll();
  const { page } = await open("/");
  expect(page).not.toContain("Hosts out of contact");
  expect(page).toMatch(/title="invited; it has no agent yet"\s*>◷ new/);
  expect(page.replaceAll(/\s+/g, " ")).toContain("3 of 3 hosts in contact");
});

test("a stream ends with the run, and when who signed in no longer may", async () => {
  const { operate, app, master } = fleet.current;
  await createProject(fleet.current, { hosts: [] });
  const { id } = await trigger(fleet.current);
  const { info, token } = (await operate("POST", "/v1/tokens", { name: "v", scope: "viewer" }))
    .body;
  const { get, post } = browse(app);
  await post("/sign-in", { token });
  const page = await (await get(`/runs/${id}`)).text();
  const url = `/runs/${id}/live?v=${encodeURIComponent(versionsOf(page))}`;
  const first = await get(url);
  await work(fleet.current, { agent: master });
  expect(await readUntil(first, () => false)).toMatch(/succeeded.*event: end/s);

  await createProject(fleet.current, { name: "fedora", upstream: "rsync://a.example/fedora" });
  const project = await (await get("/projects/fedora")).text();
  const second = await get(`/projects/fedora/live?v=${encodeURIComponent(versionsOf(project))}`);
  await operate("POST", `/v1/tokens/${info.id}/revoke`);
  expect(await readUntil(second, () => false)).toContain("event: reload");
});
