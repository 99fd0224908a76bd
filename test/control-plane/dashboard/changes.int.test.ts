import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { deletedStats } from "../../../agent/rsync/stats.ts";
import { alertConditions } from "../../../protocol/alert.ts";
import { evaluateAlerts } from "../../../control-plane/alerts/evaluate.ts";
import { addReceiver, heard } from "../../helpers/alerts.ts";
import { openWebhook, startHttpReceiver, webhookSecret } from "../../helpers/receivers.ts";
import { browse } from "../../helpers/browse.ts";
import { createProject, type TestFleet, trigger, useFleet, work } from "../../helpers/fleet.ts";

const fleet = useFleet();

async function signedIn({ app, operate, admin }: TestFleet, scope: string) {
  const made = () => operate("POST", "/v1/tokens", { name: `the ${scope}`, scope });
  const token = scope === "admin" ? admin : (await made()).body.token;
  const browser = browse(app);
  await browser.post("/sign-in", { token });
  return browser;
}

const held = {
  outcome: "held" as const,
  held: { deletions: 90, entries: 100, examples: ["pool/a"], directories: [] },
};

test("a button runs the operation itself: the audit event names who it was, and the run is shown", async () => {
  await createProject(fleet.current);
  const { post } = await signedIn(fleet.current, "operator");
  const answer = await post("/do/v1/projects/debian/sync", { back: "/projects/debian" });
  expect(answer.status).toBe(303);
  expect(answer.headers.get("location")).toMatch(/^\/runs\/[0-9a-f-]{36}$/);
  const { body } = await fleet.current.operate("GET", "/v1/audit-events?action=syncProject");
  expect(body.items).toMatchObject([{ actor: "the operator", target: "/v1/projects/debian/sync" }]);
});

test("a viewer sees no button, and forged ones are refused", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const { taskId } = await work(fleet.current, { agent: fleet.current.master, result: held });
  await addReceiver(fleet.current, { name: "kept", url: "http://127.0.0.1:2/" });
  const { get, post } = await signedIn(fleet.current, "viewer");
  for (const path of [
    "/",
    "/projects/debian",
    `/tasks/${taskId}`,
    "/hosts/ftp1",
    "/runs",
    "/alerts",
  ]) {
    const text = await (await get(path)).text();
    expect(text, path).not.toMatch(/<form method="post" action="(?!\/sign-out)|new-project|\/edit/);
  }
  for (const path of [
    "/admin",
    "/admin/audit",
    "/new-project",
    "/projects/debian/edit",
    "/alerts/receivers/kept/edit",
    "/alerts/receivers/nobody/edit",
  ])
    expect((await get(path)).status, path).toBe(403);
  const forged: [string, Record<string, string>][] = [
    ["/do/v1/projects/debian/sync", {}],
    [`/do/v1/tasks/${taskId}/approve`, {}],
    ["/do/v1/settings/pause", {}],
    ["/new-project", { "text:name": "fedora", "optional:upstream": "rsync://a.example/b" }],
    ["/projects/debian/edit", { version: "1", "text:description": "mine" }],
    ["/projects/debian/delete", { version: "1", name: "debian" }],
    ["/admin/tokens", { "text:name": "mine", "text:scope": "admin" }],
    ["/admin/hosts", { "text:name": "mine" }],
    ["/admin/settings", { "number:keepRunsDays": "1" }],
    ["/admin/hosts/ftp1/invite", {}],
    ["/hosts/ftp1", { "number:parallel": "3" }],
    [
      "/alerts/receivers",
      { "text:name": "x", "text:kind": "slack", "text:url": "https://a.example/" },
    ],
    ["/alerts/receivers/kept/test", {}],
    ["/alerts/receivers/kept/edit", { condition: "held" }],
    // Of whom there is, a viewer hears nothing.
    ["/alerts/receivers/nobody/test", {}],
    ["/alerts/receivers/nobody/silence", { hours: "4" }],
    ["/alerts/receivers/nobody/delete", {}],
    ["/alerts/receivers/kept/silence", { hours: "4" }],
    ["/alerts/receivers/kept/delete", {}],
    ["/do/v1/projects/debian/undo", {}],
    ["/do/v1/projects/debian/dry-run", {}],
  ];
  const events = async () =>
    (await fleet.current.operate("GET", "/v1/audit-events?limit=200")).body.items;
  const before = await events();
  for (const [path, form] of forged) expect((await post(path, form)).status, path).toBe(403);
  expect(await events()).toEqual(before);
});

test("what another site sends does nothing", async () => {
  await createProject(fleet.current);
  const { post } = await signedIn(fleet.current, "admin");
  const sites: Record<string, string>[] = [
    { "sec-fetch-site": "cross-site", origin: "https://evil.example" },
    { "sec-fetch-site": "same-site", origin: "http://other.localhost" },
    { origin: "null" },
    { origin: "http://localhost:1" },
    {},
  ];
  for (const headers of sites) {
    const answer = await post("/do/v1/projects/debian/pause", {}, headers);
    expect(answer.status, JSON.stringify(headers)).toBe(403);
    expect((await post("/sign-in", { token: fleet.current.admin }, headers)).status).toBe(403);
  }
  expect((await fleet.current.operate("GET", "/v1/projects/debian")).body.paused).toBe(false);
  const older = await post("/do/v1/projects/debian/pause", {}, { origin: "http://localhost" });
  expect(older.status).toBe(303);
});

test("pages let their own forms say where they come from, and inviting works where a browser does not", async () => {
  const { get, post } = await signedIn(fleet.current, "admin");
  expect((await get("/admin")).headers.get("referrer-policy")).toBe("same-origin");
  const own = { "sec-fetch-site": "same-origin", origin: "null" };
  const invited = await post("/admin/hosts/ftp1/invite", {}, own);
  expect(invited.status).toBe(200);
  expect(await invited.text()).toContain("mirrorfleet-agent join --control-plane http://localhost");
});

test("buttons run those operations alone that there are buttons for", async () => {
  const { post } = await signedIn(fleet.current, "admin");
  for (const path of ["/do/v1/tokens", "/do/v1/hosts", "/do/v1/task-keys/rotate"])
    expect((await post(path, { "text:name": "x", "text:scope": "admin" })).status, path).toBe(404);
});

test("a form adds a project as REST does, tells what was wrong at the field, edits and removes it", async () => {
  const { get, post } = await signedIn(fleet.current, "admin");
  const typed = {
    "text:name": "fedora",
    "text:description": 'Fedora "Linux"',
    "optional:upstream": "ftp://a.example/",
    "lines:fallbacks": "",
    "optional:schedule": "5 * * * *",
    "text:zone": "UTC",
    "text:master": "master",
    "flag:rsync.delete": "true",
    "filters:rsync.filters": "+ /epel/\r\n- *.iso",
    "number:maxAttempts": "",
    "optional:trace.style": "debian",
    "optional:login.user": "us",
    "optional:login.password": "secret of the upstream",
  };
  const refused = await post("/new-project", typed);
  expect(refused.status).toBe(422);
  const text = await refused.text();
  expect(text).toMatch(/id="upstream"[^>]*aria-invalid="true"/s);
  expect(text).toContain("must be an rsync URL");
  // What was typed stays, but for the password.
  expect(text).toContain("Fedora &quot;Linux&quot;");
  expect(text).not.toContain("secret of the upstream");
  const form = { ...typed, "optional:upstream": "rsync://a.example/fedora" };
  expect((await post("/new-project", form)).headers.get("location")).toBe("/projects/fedora");
  const read = async () => (await fleet.current.operate("GET", "/v1/projects/fedora")).body;
  const made = await read();
  expect(made).toMatchObject({
    maxAttempts: 3,
    schedule: "5 * * * *",
    login: { user: "us", passwordSet: true },
    trace: { style: "debian" },
    rsync: {
      filters: [
        { action: "include", pattern: "/epel/" },
        { action: "exclude", pattern: "*.iso" },
      ],
    },
  });

  const { "text:name": _name, "text:master": _master, ...rest } = form;
  const edit = { ...rest, "text:description": "changed", "optional:login.password": "" };
  const version = String(made.version);
  const saved = await post("/projects/fedora/edit", { ...edit, version });
  expect(saved.headers.get("location")).toBe("/projects/fedora");
  const stale = await post("/projects/fedora/edit", { ...edit, version });
  expect(stale.status).toBe(412);
  expect(await stale.text()).toContain("the project has changed");
  expect(await (await get("/projects/fedora")).text()).toContain("<code>changed</code>");
  const after = await read();
  expect(after).toMatchObject({ description: "changed", login: { passwordSet: true } });
  expect(after.rsync).toEqual(made.rsync);

  const ends = String(after.version);
  const wrong = await post("/projects/fedora/delete", { name: "fedor", version: ends });
  expect(wrong.status).toBe(422);
  await post("/projects/fedora/delete", { name: "fedora", version: ends });
  expect((await get("/projects/fedora")).status).toBe(404);
});

test("a form gives a project another trace file, whatever the one before was, or none", async () => {
  await createProject(fleet.current, { trace: { style: "timestamp", path: "synced" } });
  const { operate } = fleet.current;
  const { get, post } = await signedIn(fleet.current, "admin");
  const read = async () => (await operate("GET", "/v1/projects/debian")).body;
  const choose = async (style: string) => {
    const version = String((await read()).version);
    const sent = { "text:zone": "UTC", "optional:trace.style": style, version };
    expect((await post("/projects/debian/edit", sent)).status).toBe(303);
    return (await read()).trace;
  };
  const form = await (await get("/projects/debian/edit")).text();
  expect(form).toMatch(/<option value="timestamp"\s+selected/);
  expect(await choose("timestamp")).toEqual({ style: "timestamp", path: "synced" });
  expect(await choose("debian")).toEqual({ style: "debian" });
  expect(await choose("")).toBeNull();
});

test("held deletions are shown with their paths, and let go by a button", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const { taskId } = await work(fleet.current, { agent: fleet.current.master, result: held });
  const { get, post } = await signedIn(fleet.current, "operator");
  expect(await (await get("/projects/debian")).text()).toContain("<code>pool/a</code>");
  expect(await (await get("/")).text()).toContain("Held deletions");
  const { headers } = await post(`/do/v1/tasks/${taskId}/approve`, { back: "/" });
  expect((await get(headers.get("location")!)).status).toBe(200);
  expect(await (await get("/")).text()).not.toContain("Held deletions");
});

test("who is told of alerts is added, tested, silenced and removed on their page, which lists what is wrong", async () => {
  const { operate, ctx } = fleet.current;
  const { url, received } = await startHttpReceiver();
  await heard(fleet.current, { ftp1: 20 });
  await evaluateAlerts(ctx);
  const { get, post } = await signedIn(fleet.current, "admin");
  const page = async () => (await get("/alerts")).text();
  expect(await page()).toMatch(/out-of-contact[^]*href="\/hosts\/ftp1"[^]*heard last at/);
  const typed = {
    "text:name": "pager",
    "text:kind": "webhook",
    "text:url": url,
    "optional:secret": "whsec_no",
    "optional-lines:projects": "",
    "optional-lines:hosts": "ftp1\r\nftp2",
    "number:remindHours": "",
    condition: "out-of-contact",
  };
  const refused = await post("/alerts/receivers", typed);
  expect(refused.status).toBe(422);
  const again = await refused.text();
  expect(again).toMatch(/id="receiver-secret"[^>]*aria-invalid="true"/s);
  expect(again).not.toContain("whsec_no");
  expect(again).toMatch(/value="out-of-contact"\s+checked/);
  expect(again).not.toMatch(/value="stale"\s+checked/);
  const made = await post("/alerts/receivers", { ...typed, "optional:secret": webhookSecret });
  expect(made.headers.get("location")).toBe("/alerts");
  const read = async () => (await operate("GET", "/v1/alert-receivers/pager")).body;
  expect(await read()).toMatchObject({
    conditions: ["out-of-contact"],
    projects: null,
    hosts: ["ftp1", "ftp2"],
    remindHours: null,
  });
  expect(await (await post("/alerts/receivers/pager/test", {})).text()).toContain(
    "took a test message",
  );
  expect(received.map((request) => openWebhook(request).kind)).toEqual(["test"]);
  await post("/alerts/receivers/pager/silence", { hours: "4" });
  expect(Date.parse((await read()).silencedUntil) - Date.now()).toBeCloseTo(4 * 3_600_000, -5);
  expect(await page()).toContain("Let it speak");
  for (const hours of ["x", "-1", "99999", "1e300"])
    expect((await post("/alerts/receivers/pager/silence", { hours })).status, hours).toBe(422);
  expect((await read()).silencedUntil).not.toBeNull();
  await post("/alerts/receivers/pager/silence", { hours: "" });
  expect((await read()).silencedUntil).toBeNull();
  await post("/alerts/receivers/pager/delete", {});
  expect((await read()).code).toBe("not-found");
  expect(await page()).not.toContain("pager");
});

test("a receiver is changed on a page of its own, which shows no secret and keeps those that are left empty", async () => {
  const { operate } = fleet.current;
  const { url, received } = await startHttpReceiver();
  await addReceiver(fleet.current, { name: "pager", url: `${url}/secret-path` });
  const { get, post } = await signedIn(fleet.current, "admin");
  expect(await (await get("/alerts")).text()).toContain('href="/alerts/receivers/pager/edit"');
  const form = await (await get("/alerts/receivers/pager/edit")).text();
  expect(form).toMatch(/name="optional:url"[^>]*value=""/s);
  expect(form).toContain(url);
  expect(form).not.toMatch(
    /secret-path|whsec_[A-Za-z0-9+/]|name="optional:(?:room|from)"|lines:to/,
  );
  expect(form.match(/\schecked/g)).toHaveLength(alertConditions.length);
  const sent = {
    "optional:url": "",
    "optional:secret": "",
    "optional-lines:projects": "debian",
    "optional-lines:hosts": "",
    "number:remindHours": "2",
    condition: "held",
  };
  const read = async () => (await operate("GET", "/v1/alert-receivers/pager")).body;
  const saved = await post("/alerts/receivers/pager/edit", sent);
  expect(saved.headers.get("location")).toBe("/alerts");
  expect(await read()).toMatchObject({
    conditions: ["held"],
    projects: ["debian"],
    hosts: null,
    remindHours: 2,
    address: url,
  });
  await post("/alerts/receivers/pager/test", {});
  expect(received.map((request) => openWebhook(request).kind)).toEqual(["test"]);
  expect(received[0]!.path).toBe("/secret-path");

  const refused = await post("/alerts/receivers/pager/edit", {
    ...sent,
    "optional:url": "ftp://a.example/",
  });
  expect(refused.status).toBe(422);
  const again = await refused.text();
  expect(again).toMatch(/id="receiver-url"[^>]*aria-invalid="true"/s);
  expect(again).toMatch(/value="held"\s+checked/);
  expect((await read()).address).toBe(url);
  const moved = await startHttpReceiver();
  await post("/alerts/receivers/pager/edit", { ...sent, "optional:url": moved.url });
  await post("/alerts/receivers/pager/test", {});
  expect(moved.received.map((request) => openWebhook(request).kind)).toEqual(["test"]);
});

test("the form of a receiver has what its kind has", async () => {
  await addReceiver(fleet.current, {
    name: "mail",
    kind: "email",
    url: "smtp://127.0.0.1:1",
    from: "mirror@example.org",
    to: ["noc@example.org"],
  });
  await addReceiver(fleet.current, {
    name: "room",
    kind: "matrix",
    url: "http://127.0.0.1:2",
    secret: "syt_secret",
    room: "!a:example.org",
  });
  const { get, post } = await signedIn(fleet.current, "admin");
  const mail = await (await get("/alerts/receivers/mail/edit")).text();
  expect(mail).toContain('value="mirror@example.org"');
  expect(mail).toContain("noc@example.org</textarea>");
  expect(mail).not.toContain("optional:secret");
  const edit = { "optional:from": "m@example.org", "lines:to": "a@b.example", condition: "disk" };
  expect((await post("/alerts/receivers/mail/edit", edit)).status).toBe(303);
  const { body } = await fleet.current.operate("GET", "/v1/alert-receivers/mail");
  expect(body).toMatchObject({ from: "m@example.org", to: ["a@b.example"], conditions: ["disk"] });
  const room = await (await get("/alerts/receivers/room/edit")).text();
  expect(room).toContain('value="!a:example.org"');
  expect(room).toContain("Access token");
  expect(room).not.toContain("syt_secret");
  // A token goes to no other host than the one that it was stored for.
  const elsewhere = { "optional:url": "http://127.0.0.2:2", "optional:room": "!a:example.org" };
  const sent = { ...elsewhere, "optional:secret": "", condition: "disk" };
  const refused = await post("/alerts/receivers/room/edit", sent);
  expect(refused.status).toBe(422);
  expect(await refused.text()).toContain("must be given again");
});

test("what is not seen in a field comes back as it was when the form is saved", async () => {
  // Half a space, a soft hyphen, and joined emoji: all of them belong to their words.
  const description = "می\u200cخواهم so\u00adft 👩\u200d💻";
  const filters = [{ action: "exclude" as const, pattern: "/می\u200cخ/**" }];
  await createProject(fleet.current, { description, rsync: { filters } });
  const { get, post } = await signedIn(fleet.current, "admin");
  const text = await (await get("/projects/debian/edit")).text();
  const valueOf = (name: string) =>
    new RegExp(`name="${name}"\\s+value="([^"]*)"`).exec(text)?.[1] ??
    new RegExp(`name="${name}"[^>]*>\\n([^<]*)</textarea>`).exec(text)?.[1];
  expect(valueOf("text:description")).toBe(description);
  expect(valueOf("filters:rsync.filters")).toBe("- /می\u200cخ/**");
  expect(text).toContain("Holds what is not seen: می\uFFFDخواهم so\uFFFDft");
  const saved = await post("/projects/debian/edit", {
    version: valueOf("version")!,
    "text:zone": "UTC",
    "text:description": valueOf("text:description")!,
    "filters:rsync.filters": valueOf("filters:rsync.filters")!,
  });
  expect(saved.status).toBe(303);
  const { body } = await fleet.current.operate("GET", "/v1/projects/debian");
  expect(body).toMatchObject({ description, rsync: { filters } });
});

test("a host's page changes how many tasks it takes and its labels: those left out go", async () => {
  const { operate } = fleet.current;
  await operate("PATCH", "/v1/hosts/ftp1", { labels: { site: "nyc", old: "1" } });
  const { get, post } = await signedIn(fleet.current, "admin");
  expect(await (await get("/hosts/ftp1")).text()).toContain("old=1\nsite=nyc</textarea>");
  const form = { "lines:addresses": "127.0.0.1", "number:parallel": "3" };
  const refused = await post("/hosts/ftp1", { ...form, "labels:labels": "site" });
  expect(refused.status).toBe(422);
  expect(await refused.text()).toContain("must be &quot;name=value&quot; on each line");
  const saved = await post("/hosts/ftp1", { ...form, "labels:labels": "site=ams\r\ntier = 1" });
  expect(saved.headers.get("location")).toBe("/hosts/ftp1");
  const { body } = await operate("GET", "/v1/hosts/ftp1");
  expect(body).toMatchObject({ parallel: 3, labels: { site: "ams", tier: "1" } });
  expect(body.labels).not.toHaveProperty("old");
});

test("a project's page lists its generations with who carries them, and a pull that deleted can be undone there, once", async () => {
  const { master, ftp1 } = fleet.current;
  await createProject(fleet.current);
  const stats = { ...deletedStats(0), files: 10 };
  const pull = async (deleted: number) => {
    const run = await trigger(fleet.current);
    await work(fleet.current, { agent: master, result: { stats: { ...stats, deleted } } });
    return String(run.id);
  };
  await pull(0);
  await work(fleet.current, { agent: ftp1 });
  const { get, post } = await signedIn(fleet.current, "operator");
  const page = async (path = "/projects/debian") => (await get(path)).text();
  expect(await page()).not.toContain("Undo deletions");
  const run = await pull(7);
  const text = await page();
  expect(text).toMatch(
    /<th scope="row">2<\/th>[^]*?>master<[^]*?<th scope="row">1<\/th>[^]*?>ftp1<[^]*?ftp2 \(0\)/,
  );
  expect(text).toMatch(/Undo deletions[^]*Brings back the 7 entries/);
  expect(await page(`/runs/${run}`)).toContain("Undo deletions");
  const undone = await post("/do/v1/projects/debian/undo", { back: "/projects/debian" });
  expect(undone.headers.get("location")).toMatch(/^\/runs\//);
  expect(await page()).not.toContain("Undo deletions");
  expect(await page(`/runs/${run}`)).not.toContain("Undo deletions");
});

test("where the master keeps nothing of what it deletes, or no longer, the page says so, and an undo is refused before anything is paused", async () => {
  const { master, operate, ctx } = fleet.current;
  await createProject(fleet.current);
  const stats = { ...deletedStats(7), files: 10 };
  await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { stats } });
  const keeps = (quarantineDays: number) =>
    master.poll({ facts: { rsyncVersion: null, roots: [], quarantineDays } });
  const { get, post } = await signedIn(fleet.current, "operator");
  const page = async () => (await (await get("/projects/debian")).text()).replaceAll(/\s+/g, " ");
  const undo = async () => {
    const { status } = await post("/do/v1/projects/debian/undo", { back: "/projects/debian" });
    const { body } = await operate("GET", "/v1/projects/debian");
    return [status, body.paused];
  };
  expect(await page()).toContain("its agent is too old to say");
  await keeps(0);
  expect((await operate("GET", "/v1/hosts/master")).body.quarantineDays).toBe(0);
  expect(await page()).toMatch(
    /7 entries [^<]* cannot be brought back: its master keeps no deleted files/,
  );
  expect(await page()).not.toContain("/undo");
  expect(await undo()).toEqual([409, false]);
  await keeps(3);
  expect(await page()).toMatch(/Brings back the 7 entries[^<]*quarantine, for 3 days/);
  await ctx.db.execute(sql`update tasks set finished_at = finished_at - interval '4 days'`);
  expect(await page()).toMatch(/cannot be brought back: its master keeps deleted files for 3 days/);
  await ctx.db.execute(sql`update tasks set finished_at = finished_at + interval '4 days'`);
  expect(await undo()).toEqual([303, true]);
});

test("a token and an invitation are shown once, with the line to paste", async () => {
  const { get, post } = await signedIn(fleet.current, "admin");
  const token = { "text:name": "x", "text:scope": "viewer", "optional:expiresAt": "" };
  const made = /mfo_[A-Za-z0-9_-]{43}/.exec(await (await post("/admin/tokens", token)).text())![0];
  expect((await fleet.current.operate("GET", "/v1/status", undefined, made)).status).toBe(200);
  const host = { "text:name": "ftp9", "lines:roles": "ftp", "lines:addresses": "192.0.2.9" };
  expect(await (await post("/admin/hosts", host)).text()).toMatch(
    /MIRRORFLEET_ENROLMENT_TOKEN=mfe_\S+ mirrorfleet-agent join --control-plane http:\/\/localhost</,
  );
  expect(await (await get("/admin")).text()).not.toContain(made);
});
