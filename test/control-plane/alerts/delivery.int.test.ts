import { sql } from "drizzle-orm";
import { expect, onTestFinished, test } from "vitest";
import { deliverAlerts } from "../../../control-plane/alerts/deliver.ts";
import { evaluateAlerts } from "../../../control-plane/alerts/evaluate.ts";
import type { Ctx } from "../../../control-plane/context.ts";
import { connect } from "../../../control-plane/db/connect.ts";
import { takeDueMessages } from "../../../control-plane/db/queries/alert-messages.ts";
import { freePort } from "../../../demo/processes.ts";
import { addReceiver, heard, lookAndDeliver, stayAway } from "../../helpers/alerts.ts";
import { useFleet } from "../../helpers/fleet.ts";
import { until } from "../../helpers/programs.ts";
import { openWebhook, startHttpReceiver, startSilentServer } from "../../helpers/receivers.ts";

const fleet = useFleet();
const hour = 3600;

/** Goes on in time, with hosts that were heard so many minutes before. */
async function pass(seconds: number, away: Record<string, number> = {}) {
  fleet.current.clock.offsetSeconds += seconds;
  await heard(fleet.current, away);
}

const told = ({ received }: { received: Parameters<typeof openWebhook>[0][] }) =>
  received.map(openWebhook).map(({ kind, subjects }) => `${kind}: ${subjects.join(", ")}`);

const readReceiver = async () =>
  (await fleet.current.operate("GET", "/v1/alert-receivers/hook")).body;

/** Another process of the same control plane: nothing in common but the database and the secret. */
function anotherReplica(): Ctx {
  const { db, close } = connect({ connection: fleet.current.connection, max: 4 });
  onTestFinished(close);
  return { ...fleet.current.ctx, db };
}

test("a webhook is told, signed, when something begins and when it ends, once each", async () => {
  const { ctx } = fleet.current;
  const receiver = await startHttpReceiver();
  await addReceiver(fleet.current, { url: receiver.url });
  await heard(fleet.current, { ftp1: 20 });
  await lookAndDeliver(ctx);
  await lookAndDeliver(ctx);
  expect(told(receiver)).toEqual(["opened: out-of-contact ftp1"]);
  const [request] = receiver.received;
  expect(request).toMatchObject({ method: "POST", path: "/" });
  expect(request!.headers["mirrorfleet-message-id"]).toBe(request!.headers["webhook-id"]);
  expect(() => openWebhook({ ...request!, body: `${request!.body} ` })).toThrow(/signature/i);
  expect(openWebhook(request!).alerts).toMatchObject([
    { condition: "out-of-contact", host: "ftp1", project: null, closedAt: null },
  ]);
  await heard(fleet.current);
  await stayAway(fleet.current);
  await lookAndDeliver(ctx);
  await lookAndDeliver(ctx);
  expect(told(receiver)).toEqual(["opened: out-of-contact ftp1", "closed: out-of-contact ftp1"]);
  expect(openWebhook(receiver.received[1]!).alerts[0].closedAt).not.toBeNull();
});

test("what comes and goes within two minutes is told of once", async () => {
  const { ctx } = fleet.current;
  const receiver = await startHttpReceiver();
  await addReceiver(fleet.current, { url: receiver.url });
  for (let round = 0; round < 5; round++) {
    await pass(60, { ftp1: round % 2 === 0 ? 20 : 0 });
    await lookAndDeliver(ctx);
  }
  expect(told(receiver)).toEqual(["opened: out-of-contact ftp1"]);
});

test("what begins together stands in one message", async () => {
  const receiver = await startHttpReceiver();
  await addReceiver(fleet.current, { url: receiver.url });
  await heard(fleet.current, { master: 20, ftp1: 20, ftp2: 20 });
  await lookAndDeliver(fleet.current.ctx);
  expect(told(receiver)).toEqual([
    "opened: out-of-contact ftp1, out-of-contact ftp2, out-of-contact master",
  ]);
});

test("a reminder lists all that goes on, as often as the receiver wants", async () => {
  const { ctx } = fleet.current;
  const receiver = await startHttpReceiver();
  const never = await startHttpReceiver();
  await addReceiver(fleet.current, { url: receiver.url, remindHours: 4 });
  await addReceiver(fleet.current, { url: never.url, name: "never", remindHours: null });
  await heard(fleet.current, { ftp1: 20 });
  await lookAndDeliver(ctx);
  await pass(3 * hour, { ftp1: 200, ftp2: 20 });
  await lookAndDeliver(ctx);
  await pass(hour - 60, { ftp1: 260, ftp2: 80 });
  await lookAndDeliver(ctx);
  const begun = ["opened: out-of-contact ftp1", "opened: out-of-contact ftp2"];
  expect(told(receiver)).toEqual(begun);
  await pass(60, { ftp1: 261, ftp2: 81 });
  await lookAndDeliver(ctx);
  await pass(4 * hour - 60, { ftp1: 500, ftp2: 320 });
  await lookAndDeliver(ctx);
  const reminder = "reminder: out-of-contact ftp1, out-of-contact ftp2";
  expect(told(receiver)).toEqual([...begun, reminder]);
  await pass(60, { ftp1: 501, ftp2: 321 });
  await lookAndDeliver(ctx);
  expect(told(receiver)).toEqual([...begun, reminder, reminder]);
  expect(told(never)).toEqual(begun);
});

test("a silenced receiver is told nothing, and afterwards what began meanwhile and goes on, and what ended", async () => {
  const { ctx, operate } = fleet.current;
  const receiver = await startHttpReceiver();
  await addReceiver(fleet.current, { url: receiver.url });
  await heard(fleet.current, { ftp1: 20 });
  await lookAndDeliver(ctx);
  const until = new Date(Date.now() + hour * 1000).toISOString();
  await operate("POST", "/v1/alert-receivers/hook/silence", { until });
  // ftp1 comes back for good, ftp2 goes and comes back, the master goes and stays away.
  await pass(60, { ftp2: 20 });
  await lookAndDeliver(ctx);
  await pass(60, { master: 20 });
  await lookAndDeliver(ctx);
  await pass(180, { master: 23 });
  await lookAndDeliver(ctx);
  expect(told(receiver)).toEqual(["opened: out-of-contact ftp1"]);
  await pass(hour, { master: 83 });
  await lookAndDeliver(ctx);
  expect(told(receiver)).toEqual([
    "opened: out-of-contact ftp1",
    "closed: out-of-contact ftp1",
    "opened: out-of-contact master",
  ]);
});

test("what waits for a receiver that is silenced waits until that is over", async () => {
  const { operate, ctx } = fleet.current;
  const hook = await startHttpReceiver({ answers: [503] });
  await addReceiver(fleet.current, { url: hook.url });
  await heard(fleet.current, { ftp1: 20 });
  await lookAndDeliver(ctx);
  expect(hook.received).toHaveLength(1);
  const until = new Date(Date.now() + 3_600_000).toISOString();
  await operate("POST", "/v1/alert-receivers/hook/silence", { until });
  await pass(60, { ftp1: 21 });
  await lookAndDeliver(ctx);
  expect(hook.received).toHaveLength(1);
  await pass(hour, { ftp1: 81 });
  await lookAndDeliver(ctx);
  expect(hook.received.slice(1).map((request) => openWebhook(request).kind)).toEqual(["opened"]);
});

test("a silence can be ended", async () => {
  const { ctx, operate } = fleet.current;
  const receiver = await startHttpReceiver();
  await addReceiver(fleet.current, { url: receiver.url });
  const silence = (until: string | null) =>
    operate("POST", "/v1/alert-receivers/hook/silence", { until });
  await silence("2099-01-01T00:00:00Z");
  await heard(fleet.current, { ftp1: 20 });
  await lookAndDeliver(ctx);
  expect(told(receiver)).toEqual([]);
  expect((await silence(null)).body.silencedUntil).toBeNull();
  await lookAndDeliver(ctx);
  expect(told(receiver)).toEqual(["opened: out-of-contact ftp1"]);
});

test("a new receiver is told of what goes on, and of what it asks for alone", async () => {
  const { ctx } = fleet.current;
  await heard(fleet.current, { ftp1: 20, ftp2: 20 });
  await lookAndDeliver(ctx);
  const [all, one, none] = [
    await startHttpReceiver(),
    await startHttpReceiver(),
    await startHttpReceiver(),
  ];
  await addReceiver(fleet.current, { url: all.url, name: "all" });
  await addReceiver(fleet.current, { url: one.url, name: "one", hosts: ["ftp2", "other"] });
  await addReceiver(fleet.current, { url: none.url, name: "none", conditions: ["held", "disk"] });
  await addReceiver(fleet.current, { url: none.url, name: "debian", projects: ["debian"] });
  await lookAndDeliver(ctx);
  expect(told(all)).toEqual(["opened: out-of-contact ftp1, out-of-contact ftp2"]);
  expect(told(one)).toEqual(["opened: out-of-contact ftp2"]);
  expect(told(none)).toEqual([]);
});

test("what a receiver refuses is sent again with the same id until it takes it, and nothing overtakes it", async () => {
  const { ctx, clock } = fleet.current;
  const receiver = await startHttpReceiver({ answers: [500, 302, 429] });
  await addReceiver(fleet.current, { url: receiver.url });
  await heard(fleet.current, { ftp1: 20 });
  await lookAndDeliver(ctx);
  expect(await readReceiver()).toMatchObject({ waitingMessages: 1, lastError: "answered 500" });
  await heard(fleet.current);
  await stayAway(fleet.current);
  await evaluateAlerts(ctx);
  expect(await readReceiver()).toMatchObject({ waitingMessages: 2, lastDeliveredAt: null });
  for (const error of ["answered 302: redirects are not followed", "answered 429"]) {
    clock.offsetSeconds += hour;
    await deliverAlerts(ctx, { signal: new AbortController().signal });
    expect((await readReceiver()).lastError).toBe(error);
  }
  clock.offsetSeconds += hour;
  await deliverAlerts(ctx, { signal: new AbortController().signal });
  const one = "opened: out-of-contact ftp1";
  expect(told(receiver)).toEqual([one, one, one, one, "closed: out-of-contact ftp1"]);
  const ids = receiver.received.map(({ headers }) => headers["webhook-id"]);
  expect(new Set(ids.slice(0, 4)).size).toBe(1);
  expect(ids[4]).not.toBe(ids[0]);
  expect(receiver.received.map(({ path }) => path)).not.toContain("/elsewhere");
  expect(await readReceiver()).toMatchObject({ waitingMessages: 0, lastError: null });
});

test("a failed message is not sent again at once", async () => {
  const { ctx } = fleet.current;
  const receiver = await startHttpReceiver({ answers: [503] });
  await addReceiver(fleet.current, { url: receiver.url });
  await heard(fleet.current, { ftp1: 20 });
  await lookAndDeliver(ctx);
  await lookAndDeliver(ctx);
  expect(receiver.received).toHaveLength(1);
});

test("what waits outlives the process: another delivers it, also what was being sent when the first was killed", async () => {
  const { ctx, clock } = fleet.current;
  const port = await freePort();
  await addReceiver(fleet.current, { url: `http://127.0.0.1:${port}/` });
  await heard(fleet.current, { ftp1: 20 });
  await lookAndDeliver(ctx);
  expect((await readReceiver()).lastError).toMatch(/ECONNREFUSED/);
  clock.offsetSeconds += hour;
  // Taken, and never heard of again.
  expect(await takeDueMessages(ctx)).toHaveLength(1);
  const receiver = await startHttpReceiver({ port });
  const next = anotherReplica();
  const signal = new AbortController().signal;
  expect(await deliverAlerts(next, { signal })).toBe(0);
  clock.offsetSeconds += 61;
  expect(await deliverAlerts(next, { signal })).toBe(1);
  expect(told(receiver)).toEqual(["opened: out-of-contact ftp1"]);
});

test("replicas that look and deliver at the same time tell a receiver once", async () => {
  const receiver = await startHttpReceiver();
  await addReceiver(fleet.current, { url: receiver.url });
  const replicas = [fleet.current.ctx, anotherReplica(), anotherReplica()];
  const away = { master: 20, ftp1: 20, ftp2: 20 };
  for (let round = 0; round < 10; round++) {
    await pass(130, round % 2 === 0 ? away : {});
    for (let look = 0; look < 2; look++) {
      await Promise.all(replicas.map((ctx) => evaluateAlerts(ctx)));
      await pass(121, round % 2 === 0 ? away : {});
    }
    await Promise.all(replicas.map((ctx) => evaluateAlerts(ctx)));
    const signal = new AbortController().signal;
    await Promise.all(replicas.map((ctx) => deliverAlerts(ctx, { signal })));
  }
  const kinds = receiver.received.map((request) => openWebhook(request).kind);
  expect(kinds).toEqual(Array.from({ length: 5 }, () => ["opened", "closed"]).flat());
});

test("after a day a message is given up, and the next one is sent", async () => {
  const { ctx, clock } = fleet.current;
  const receiver = await startHttpReceiver({ answers: [500, 500] });
  await addReceiver(fleet.current, { url: receiver.url, remindHours: null });
  await heard(fleet.current, { ftp1: 20 });
  await lookAndDeliver(ctx);
  await heard(fleet.current);
  await stayAway(fleet.current);
  await evaluateAlerts(ctx);
  clock.offsetSeconds += 24 * hour;
  await heard(fleet.current);
  await lookAndDeliver(ctx);
  const opened = "opened: out-of-contact ftp1";
  expect(told(receiver)).toEqual([opened, opened, "closed: out-of-contact ftp1"]);
  const { rows } = await ctx.db.execute(
    sql`select given_up_at is not null up, attempts from alert_messages order by number`,
  );
  expect(rows).toEqual([
    { up: true, attempts: 2 },
    { up: false, attempts: 1 },
  ]);
});

test("a corrected address gets what waits at once", async () => {
  const { ctx, operate } = fleet.current;
  await addReceiver(fleet.current, { url: `http://127.0.0.1:${await freePort()}/` });
  await heard(fleet.current, { ftp1: 20 });
  await lookAndDeliver(ctx);
  const receiver = await startHttpReceiver();
  await operate("PATCH", "/v1/alert-receivers/hook", { url: receiver.url });
  await lookAndDeliver(ctx);
  expect(told(receiver)).toEqual(["opened: out-of-contact ftp1"]);
});

test("one receiver that does not answer does not keep others from being told", async () => {
  const { ctx } = fleet.current;
  await addReceiver(fleet.current, { name: "gone", url: `http://127.0.0.1:${await freePort()}/` });
  const receiver = await startHttpReceiver();
  await addReceiver(fleet.current, { url: receiver.url });
  await heard(fleet.current, { ftp1: 20 });
  await lookAndDeliver(ctx);
  expect(told(receiver)).toEqual(["opened: out-of-contact ftp1"]);
});

test.each(["webhook", "email"] as const)(
  "a stop does not wait for a receiver of kind %s that says nothing, and leaves it the message",
  async (kind) => {
    const { ctx } = fleet.current;
    const { port, sockets } = await startSilentServer();
    await addReceiver(
      fleet.current,
      kind === "webhook"
        ? { url: `http://127.0.0.1:${port}/` }
        : { kind, url: `smtp://127.0.0.1:${port}`, from: "a@example.org", to: ["b@example.org"] },
    );
    await heard(fleet.current, { ftp1: 20 });
    await evaluateAlerts(ctx);
    const stopping = new AbortController();
    const delivery = deliverAlerts(ctx, { signal: stopping.signal });
    await until("it has connected", () => sockets.size > 0);
    const stopped = performance.now();
    stopping.abort();
    expect(await delivery).toBe(0);
    expect(performance.now() - stopped).toBeLessThan(2000);
    expect(await readReceiver()).toMatchObject({
      waitingMessages: 1,
      lastError: "the control plane was stopped meanwhile",
    });
  },
);

test("a tick looks and delivers, for platforms without timers", async () => {
  const { operate } = fleet.current;
  const receiver = await startHttpReceiver();
  await addReceiver(fleet.current, { url: receiver.url });
  await heard(fleet.current, { ftp1: 20 });
  expect((await operate("POST", "/v1/tick")).body).toEqual({ projects: 0, messages: 1 });
  expect((await operate("POST", "/v1/tick")).body).toEqual({ projects: 0, messages: 0 });
  expect(told(receiver)).toEqual(["opened: out-of-contact ftp1"]);
});

test("a removed receiver is told nothing any more", async () => {
  const { ctx, operate } = fleet.current;
  const receiver = await startHttpReceiver();
  await addReceiver(fleet.current, { url: receiver.url });
  await heard(fleet.current, { ftp1: 20 });
  await evaluateAlerts(ctx);
  expect((await operate("DELETE", "/v1/alert-receivers/hook")).status).toBe(200);
  await lookAndDeliver(ctx);
  expect(receiver.received).toEqual([]);
});
