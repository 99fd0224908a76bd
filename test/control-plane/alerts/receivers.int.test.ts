import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { addReceiver, heard, lookAndDeliver } from "../../helpers/alerts.ts";
import { createProject, trigger, useFleet, work } from "../../helpers/fleet.ts";
import { startHttpReceiver, startMailServer, webhookSecret } from "../../helpers/receivers.ts";

const fleet = useFleet();

const hostile =
  'rsync: <!channel> "a`b" [x](https://evil.example) @all\r\nBcc: <all@example.org>\u001B[2J\u202E';

/** A project whose last run failed with words that try everything. */
async function failHostilely() {
  const { operate, master } = fleet.current;
  await operate("PATCH", "/v1/settings", { alertFailedRuns: 1 });
  await createProject(fleet.current);
  await trigger(fleet.current);
  const result = { outcome: "fatal" as const, exitCode: 1, message: hostile };
  await work(fleet.current, { agent: master, result });
  await heard(fleet.current);
  await lookAndDeliver(fleet.current.ctx);
}

test.each(["slack", "mattermost"] as const)(
  "%s is told in its own form, and hostile words in it are harmless",
  async (kind) => {
    const receiver = await startHttpReceiver();
    await addReceiver(fleet.current, { kind, url: `${receiver.url}/hooks/geheim` });
    await failHostilely();
    expect(receiver.received).toMatchObject([{ method: "POST", path: "/hooks/geheim" }]);
    const told = JSON.parse(receiver.received[0]!.body);
    expect(Object.keys(told)).toEqual(["text"]);
    expect(told.text).toMatch(/^\*Alert \(1\)\*\n- `debian`: failing, since [\d: -]+ UTC: `/);
    expect(told.text).toContain("&lt;!channel&gt;");
    expect(told.text).not.toMatch(/[<>\p{Cf}\r]|[^\P{Cc}\n]/u);
    // Whatever the words are, they stand within one line of code.
    expect(told.text.split("\n")).toHaveLength(2);
    expect(told.text.split("`")).toHaveLength(5);
  },
);

test("a Matrix room is told as the client-server API wants it, once however often it is sent", async () => {
  const receiver = await startHttpReceiver({ answers: [500] });
  await addReceiver(fleet.current, {
    kind: "matrix",
    url: `${receiver.url}/`,
    secret: "syt_geheim",
    room: "!abc/1:example.org",
  });
  await failHostilely();
  fleet.current.clock.offsetSeconds += 60;
  await heard(fleet.current);
  await lookAndDeliver(fleet.current.ctx);
  const [first, second] = receiver.received;
  expect(first).toMatchObject({
    method: "PUT",
    path: expect.stringMatching(
      /^\/_matrix\/client\/v3\/rooms\/!abc%2F1%3Aexample\.org\/send\/m\.room\.message\/[0-9a-f-]{36}$/,
    ),
    headers: { authorization: "Bearer syt_geheim" },
  });
  expect(second!.path).toBe(first!.path);
  const content = JSON.parse(second!.body);
  expect(content).toEqual({ msgtype: "m.notice", body: expect.any(String), "m.mentions": {} });
  expect(content.body).toMatch(/^Alert: debian: failing\n\n- debian: failing, since /);
  expect(content.body).not.toMatch(/\p{Cf}|[^\P{Cc}\n]/u);
});

test("mail goes through a real server with login, again after it was busy, and no word becomes a header", async () => {
  const login = { user: "alerts@example.org", password: "ge:he@im" };
  const server = await startMailServer({ refuse: 1, login });
  const { body } = await fleet.current.operate("POST", "/v1/alert-receivers", {
    name: "mail",
    kind: "email",
    url: `smtp://${encodeURIComponent(login.user)}:${encodeURIComponent(login.password)}@127.0.0.1:${server.port}`,
    from: "mirrorfleet@example.org",
    to: ["a@example.org", "b@example.org"],
  });
  expect(body).toMatchObject({ name: "mail", address: `smtp://127.0.0.1:${server.port}` });
  await failHostilely();
  expect(server.mails).toEqual([]);
  const receivers = await fleet.current.operate("GET", "/v1/alert-receivers");
  expect(receivers.body.items[0]).toMatchObject({
    waitingMessages: 1,
    lastError: expect.stringContaining("busy"),
  });
  fleet.current.clock.offsetSeconds += 60;
  await heard(fleet.current);
  await lookAndDeliver(fleet.current.ctx);
  expect(server.mails).toHaveLength(1);
  const [{ from, to, raw }] = server.mails as [(typeof server.mails)[number]];
  expect({ from, to }).toEqual({
    from: "mirrorfleet@example.org",
    to: ["a@example.org", "b@example.org"],
  });
  const { rows } = await fleet.current.ctx.db.execute(sql`select id from alert_messages`);
  const [head = "", text = ""] = raw.split("\r\n\r\n");
  expect(head).toContain(`Message-ID: <${String(rows[0]!["id"])}@example.org>`);
  expect(head.toLowerCase()).toContain(`mirrorfleet-message-id: ${String(rows[0]!["id"])}`);
  expect(head).toContain("Auto-Submitted: auto-generated");
  expect(head).toContain("Subject: [mirrorfleet] Alert: debian: failing");
  expect(head).not.toMatch(/^Bcc/im);
  expect(text).not.toBe("");
});

test("a mail server that takes no login is used without, on this machine without its certificate", async () => {
  const server = await startMailServer();
  await addReceiver(fleet.current, {
    kind: "email",
    url: `smtp://localhost:${server.port}`,
    from: "mirrorfleet@example.org",
    to: ["a@example.org"],
  });
  const { body } = await fleet.current.operate("POST", "/v1/alert-receivers/hook/test");
  expect(body).toEqual({ delivered: true, error: null });
  expect(server.mails[0]!.raw).toContain(
    "Subject: [mirrorfleet] Test: alerts of mirrorfleet arrive here",
  );
});

test("a mail server whose certificate nobody vouches for is given nothing over TLS", async () => {
  const login = { user: "a", password: "geheim" };
  const server = await startMailServer({ secure: true, login });
  await addReceiver(fleet.current, {
    kind: "email",
    url: `smtps://a:geheim@localhost:${server.port}`,
    from: "mirrorfleet@example.org",
    to: ["a@example.org"],
  });
  const { body } = await fleet.current.operate("POST", "/v1/alert-receivers/hook/test");
  expect(body).toEqual({ delivered: false, error: expect.stringMatching(/certificate/) });
  expect(server.mails).toEqual([]);
});

test("a wrong login is told to who tests it, without the password", async () => {
  const server = await startMailServer({ login: { user: "a", password: "right" } });
  await addReceiver(fleet.current, {
    kind: "email",
    url: `smtp://a:geheim@127.0.0.1:${server.port}`,
    from: "mirrorfleet@example.org",
    to: ["a@example.org"],
  });
  const { body } = await fleet.current.operate("POST", "/v1/alert-receivers/hook/test");
  expect(body).toEqual({ delivered: false, error: expect.stringContaining("wrong login") });
  expect(body.error).not.toContain("geheim");
});

test("URLs and secrets come back in no answer, no audit event, and lie encrypted in the database", async () => {
  const { operate, ctx } = fleet.current;
  const url = "https://hooks.example.org/services/GEHEIM-1?k=GEHEIM-2";
  const secret = `whsec_${Buffer.from("GEHEIM-3 GEHEIM-3 GEHEIM-3").toString("base64")}`;
  const made = await addReceiver(fleet.current, { url, secret });
  expect(made).toMatchObject({ address: "https://hooks.example.org", kind: "webhook" });
  const patched = await operate("PATCH", "/v1/alert-receivers/hook", { remindHours: 3, secret });
  expect(patched.body).toMatchObject({ remindHours: 3 });
  const { body: events } = await operate("GET", "/v1/audit-events");
  expect(events.items.map(({ action }: any) => action)).toContain("patchAlertReceiver");
  const { rows } = await ctx.db.execute(sql`select * from alert_receivers`);
  const listed = await operate("GET", "/v1/alert-receivers");
  const all = JSON.stringify([made, patched, events, rows, listed]);
  expect(all).not.toContain("GEHEIM");
  expect(all).not.toContain(secret.slice(6, 30));
});

test("a Matrix access token goes to no other homeserver than the one that it was stored for", async () => {
  const { operate } = fleet.current;
  const [first, second] = [await startHttpReceiver(), await startHttpReceiver()];
  await addReceiver(fleet.current, {
    kind: "matrix",
    url: first.url,
    secret: "syt_geheim",
    room: "!abc:example.org",
  });
  const path = "/v1/alert-receivers/hook";
  const refused = await operate("PATCH", path, { url: second.url });
  expect(refused).toMatchObject({ status: 422, body: { errors: [{ field: "secret" }] } });
  const given = await operate("PATCH", path, { url: second.url, secret: "syt_other" });
  expect(given.status).toBe(200);
  await operate("POST", `${path}/test`);
  expect(first.received).toEqual([]);
  expect(second.received[0]!.headers.authorization).toBe("Bearer syt_other");
});

test.each([
  ["url", { kind: "webhook", url: "file:///etc/passwd", secret: webhookSecret }],
  ["url", { kind: "slack", url: "https://user:password@hooks.example.org/" }],
  ["url", { kind: "email", url: "https://a.example", from: "a@b.example", to: ["a@b.example"] }],
  [
    "url",
    { kind: "email", url: "smtp://a.example/?x=1", from: "a@b.example", to: ["a@b.example"] },
  ],
  [
    "url",
    { kind: "email", url: "smtp://a:100%@a.example", from: "a@b.example", to: ["a@b.example"] },
  ],
  ["secret", { kind: "webhook", url: "https://a.example" }],
  ["secret", { kind: "webhook", url: "https://a.example", secret: "whsec_c2hvcnQ=" }],
  ["secret", { kind: "slack", url: "https://a.example", secret: "x" }],
  ["room", { kind: "matrix", url: "https://a.example", secret: "x" }],
  ["room", { kind: "matrix", url: "https://a.example", secret: "x", room: "#a:b.example" }],
  ["from", { kind: "email", url: "smtp://a.example", to: ["a@b.example"] }],
  ["to", { kind: "email", url: "smtp://a.example", from: "a@b.example" }],
  [
    "to.0",
    { kind: "email", url: "smtp://a.example", from: "a@b.example", to: ["a\r\nb@c.example"] },
  ],
])("a receiver with a wrong %s is refused: %j", async (field, input) => {
  const { status, body } = await fleet.current.operate("POST", "/v1/alert-receivers", {
    name: "hook",
    ...input,
  });
  expect([status, body.errors?.[0]?.field]).toEqual([422, field]);
});
