import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { evaluateAlerts } from "../../../control-plane/alerts/evaluate.ts";
import { browse } from "../../helpers/browse.ts";
import { report, testResult } from "../../helpers/control-plane.ts";
import {
  createProject,
  openLease,
  type TestFleet,
  trigger,
  useFleet,
  work,
} from "../../helpers/fleet.ts";

const fleet = useFleet();

/** Markup, quotes of both kinds, an escape sequence, and what turns the reading direction. */
const hostile = `"><img src=x onerror=alert(1)>'<script>alert(2)</script>\u001b[31mred\u202e`;

const held = {
  outcome: "held" as const,
  message: hostile,
  held: {
    deletions: 90,
    entries: 100,
    examples: [hostile],
    directories: [{ path: hostile, deletions: 90 }],
  },
};

async function signedIn({ app, admin }: TestFleet) {
  const browser = browse(app);
  await browser.post("/sign-in", { token: admin });
  return browser;
}

/** Nothing of it is markup, and nothing of it is obeyed by a terminal. */
function expectHarmless(text: string, where: string): void {
  expect(/<img|<script>|"onerror|[^\P{C}\n\t]/u.exec(text)?.[0], where).toBeUndefined();
}

async function sendLog(
  { app }: TestFleet,
  lease: { taskId: string; token: string },
  body: string | Uint8Array<ArrayBuffer>,
) {
  const answer = await app.request(`/v1/tasks/${lease.taskId}/log?offset=0`, {
    method: "POST",
    headers: { authorization: `Bearer ${lease.token}`, "content-type": "text/plain" },
    body,
  });
  expect(answer.status).toBe(200);
}

test("what hosts, upstreams and people say is text on every page, never markup", async () => {
  const { operate, master } = fleet.current;
  await createProject(fleet.current, { description: hostile });
  const receiver = {
    name: "x",
    kind: "webhook",
    url: "http://127.0.0.1:2/",
    secret: `whsec_${"A".repeat(32)}`,
  };
  await operate("POST", "/v1/alert-receivers", receiver);
  await operate("POST", "/v1/tokens", { name: hostile, scope: "viewer" });
  await operate("POST", "/v1/settings/pause", { reason: hostile });
  await operate("POST", "/v1/settings/resume");
  await trigger(fleet.current);
  const { taskId } = await work(fleet.current, { agent: master, result: held });
  const { body: task } = await operate("GET", `/v1/tasks/${taskId}`);
  expect(task.result.held.examples).toEqual([hostile]);
  const { body: dryRun } = await operate("POST", "/v1/projects/debian/dry-run");
  const would = { entries: 1, examples: [hostile] };
  const all = { created: would, changed: would, deleted: would, held: hostile };
  const { answer } = await work(fleet.current, {
    agent: master,
    result: { changes: 0, dryRun: { ...all, bytes: 1, files: 2, totalBytes: 3 } },
  });
  expect(answer.status).toBe(200);
  await master.request("POST", "/v1/agent/poll", {
    pollId: randomUUID(),
    agentVersion: hostile.slice(0, 50),
    waitSeconds: 0,
    daemonUsersVersion: null,
    daemonPort: 8873,
    roots: [{ path: "/srv/<img src=x onerror=alert(1)>", module: "mirror" }],
    facts: {
      rsyncVersion: null,
      roots: [
        {
          path: "/srv/<img src=x onerror=alert(1)>",
          totalBytes: 9,
          freeBytes: 0,
          totalInodes: 0,
          freeInodes: 0,
        },
      ],
    },
  });
  await evaluateAlerts(fleet.current.ctx);
  expect((await operate("GET", "/v1/alerts?condition=disk")).body.items[0].root).toContain("<img");
  expect((await operate("GET", "/v1/hosts/master")).body.agentVersion).toContain("<img");
  const { get } = await signedIn(fleet.current);
  for (const path of [
    "/",
    "/projects/debian",
    "/projects/debian/edit",
    "/runs",
    `/runs/${task.runId}`,
    `/runs/${dryRun.id}`,
    `/tasks/${taskId}`,
    "/hosts",
    "/hosts/master",
    "/alerts",
    "/admin",
    "/admin/audit",
    `/runs?project=${encodeURIComponent(hostile)}`,
    `/?q=${encodeURIComponent(hostile)}&host=${encodeURIComponent(hostile)}`,
    `/tasks/${taskId}?q=${encodeURIComponent(hostile)}`,
    `/admin/audit?actor=${encodeURIComponent(hostile)}`,
    `/sign-in?next=${encodeURIComponent(`/${hostile}`)}`,
  ]) {
    const page = await get(path);
    // Names that cannot exist are refused, on a page.
    expect([200, 422], path).toContain(page.status);
    const text = await page.text();
    expect(/<img|<script>|"onerror/.exec(text)?.[0], path).toBeUndefined();
    // What a form sends back stays as it is, and what is not seen in it is told beside it.
    expectHarmless(text.replaceAll(/value="[^"]*"/g, ""), path);
  }
  expect(await (await get(`/tasks/${taskId}`)).text()).toContain("&lt;img src=x");
  const findings = await (await get(`/runs/${dryRun.id}`)).text();
  expect(findings).toMatch(/Would be deleted: 1[^]*<code>&quot;&gt;&lt;img src=x/);
  expect(await (await get("/")).text()).toMatch(/Disks and progress[^]*\/srv\/&lt;img src=x/);
});

test("a log's bytes are shown as text, with what a terminal obeys made visible, and downloaded as they are", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  const { taskId } = lease;
  const long = "y".repeat(10_000);
  const bytes = Buffer.concat([
    Buffer.from(`${hostile}\nücrlf\r\n${long}\n`),
    Buffer.from([0x00, 0xff, 0xfe, 0x07, 0x9b, 0x0a]),
    Buffer.from("the last line\n"),
  ]);
  await sendLog(fleet.current, lease, new Uint8Array(bytes));
  const { get } = await signedIn(fleet.current);
  const text = await (await get(`/tasks/${taskId}`)).text();
  expectHarmless(text, "the page");
  expect(text).toContain("␛[31mred");
  expect(text).toContain("ücrlf\n");
  expect(text).toContain(" … (6000 more characters)");
  expect(text).toContain("␀");
  expect(text).toContain("the last line");

  const found = await (await get(`/tasks/${taskId}?q=LAST`)).text();
  expect(found).toContain("the last line");
  expect(found).not.toContain("ücrlf");

  const download = await get(`/tasks/${taskId}/log.txt`);
  expect(download.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  expect(download.headers.get("content-disposition")).toMatch(
    /^attachment; filename="[\w-]+\.log"$/,
  );
  expect(download.headers.get("x-content-type-options")).toBe("nosniff");
  expect(Buffer.from(await download.arrayBuffer())).toEqual(bytes);
});

test("a stream of a log says that it is over when it is, and not when who reads it no longer may", async () => {
  const { operate, app } = fleet.current;
  await createProject(fleet.current);
  await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  await sendLog(fleet.current, lease, "one\n");
  const { body: made } = await operate("POST", "/v1/tokens", { name: "x", scope: "viewer" });
  const viewer = browse(app);
  await viewer.post("/sign-in", { token: made.token });
  const path = `/tasks/${lease.taskId}/log/live?attempt=1&offset=0`;
  const cut = await viewer.get(path);
  await operate("POST", `/v1/tokens/${made.info.id}/revoke`);
  await sendLog(fleet.current, lease, "one\ntwo\n");
  expect(await cut.text()).not.toContain("event: end");
  const { get } = await signedIn(fleet.current);
  await report(fleet.current, { ...lease, kind: "result", body: testResult() });
  expect(await (await get(path)).text()).toMatch(/event: log[^]*event: end/);
});

test("a followed log begins where the page ended, also within a character", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  await sendLog(fleet.current, lease, `before\n<b>\u001b[0m after\n`);
  const { get } = await signedIn(fleet.current);
  const stream = await get(`/tasks/${lease.taskId}/log/live?attempt=1&offset=7`);
  expect(stream.headers.get("content-type")).toBe("text/event-stream");
  const reader = stream.body!.getReader();
  const event = new TextDecoder().decode((await reader.read()).value);
  await reader.cancel();
  expect(event).toContain("event: log");
  const data = JSON.parse(/^data: (.*)$/m.exec(event)![1]!);
  expect(data).toBe("<b>␛[0m after\n");
});

test("a character of which the page has a half is shown whole by its stream, also by one that comes again", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  const whole = Buffer.from("one 🪞🪞 end\n");
  const sendUpTo = (end: number) => sendLog(fleet.current, lease, whole.subarray(0, end));
  // Two bytes of the first mirror.
  await sendUpTo(6);
  const { get } = await signedIn(fleet.current);
  const page = await (await get(`/tasks/${lease.taskId}`)).text();
  const shown = /<pre id="log"[^>]*>([^<]*)<\/pre>/.exec(page)![1]!;
  const live = /data-log="([^"]+)"/.exec(page)![1]!.replaceAll("&amp;", "&");
  // Two bytes of the second one.
  await sendUpTo(10);
  const reader = (await get(live)).body!.getReader();
  const first = new TextDecoder().decode((await reader.read()).value);
  await reader.cancel();
  await sendUpTo(whole.length);
  await report(fleet.current, { ...lease, kind: "result", body: testResult() });
  const from = /^id: (.*)$/m.exec(first)![1]!;
  const second = await (await get(live.replace(/offset=\d+/, `offset=${from}`))).text();
  const dataOf = (event: string) => JSON.parse(/^data: (".*)$/m.exec(event)![1]!) as string;
  expect(shown.trimStart() + dataOf(first) + dataOf(second)).toBe(whole.toString());
});
