import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { evaluateAlerts } from "../../../control-plane/alerts/evaluate.ts";
import { sampleDisks } from "../../../control-plane/db/queries/disk-samples.ts";
import { addReceiver, heard, lookAndDeliver } from "../../helpers/alerts.ts";
import type { TestAgent } from "../../helpers/control-plane.ts";
import { createProject, useFleet, work } from "../../helpers/fleet.ts";
import {
  openWebhook,
  startHttpReceiver,
  startMailServer,
  webhookSecret,
} from "../../helpers/receivers.ts";
import { results } from "../../helpers/right-inputs.ts";

const fleet = useFleet();
const hour = 3600;

/** One receiver of each kind, on loopback, each of which refuses its first message; answers what each was told. */
async function everyKind() {
  const http = () => startHttpReceiver({ answers: [503] });
  const [webhook, slack, mattermost, matrix] = [
    await http(),
    await http(),
    await http(),
    await http(),
  ];
  const mail = await startMailServer({ refuse: 1 });
  await addReceiver(fleet.current, { name: "webhook", url: webhook.url, secret: webhookSecret });
  await addReceiver(fleet.current, { name: "slack", kind: "slack", url: slack.url });
  await addReceiver(fleet.current, { name: "mattermost", kind: "mattermost", url: mattermost.url });
  const room = { kind: "matrix" as const, secret: "syt_x", room: "!a:example.org" };
  await addReceiver(fleet.current, { name: "matrix", ...room, url: matrix.url });
  const people = { kind: "email" as const, from: "m@example.org", to: ["noc@example.org"] };
  const url = `smtp://localhost:${mail.port}`;
  await addReceiver(fleet.current, { name: "email", ...people, url });
  const texts = ({ received }: typeof slack, field: string) =>
    received.slice(1).map(({ body }) => String(JSON.parse(body)[field]));
  // Lines of a mail are cut where they are long, and go on in the next.
  const textOf = ({ raw }: (typeof mail.mails)[number]) =>
    raw
      .slice(raw.indexOf("\r\n\r\n") + 4)
      .replaceAll("=\r\n", "")
      .replaceAll(/=([0-9A-F]{2})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)))
      .replaceAll(/ ?\r\n(?!-|\r\n|and )/g, " ");
  return () => ({
    webhook: webhook.received
      .slice(1)
      .map(openWebhook)
      .map(({ kind, alerts }) =>
        [kind, ...alerts.map(({ condition, detail }) => `${condition}: ${detail}`)].join("\n"),
      ),
    slack: texts(slack, "text"),
    mattermost: texts(mattermost, "text"),
    matrix: texts(matrix, "body"),
    email: mail.mails.map(textOf),
  });
}

const sync = (name: string) => fleet.current.operate("POST", `/v1/projects/${name}/sync`);

async function pull(name: string, result = {}) {
  await sync(name);
  await work(fleet.current, { agent: fleet.current.master, result });
}

async function room(agent: TestAgent, free: Record<string, number>) {
  const roots = Object.entries(free).map(([path, freeBytes]) => ({
    path,
    freeBytes,
    totalBytes: 1000,
    totalInodes: 0,
    freeInodes: 0,
  }));
  await agent.poll({ facts: { rsyncVersion: null, roots } });
  const { ctx } = fleet.current;
  await ctx.db.execute(sql`update hosts set facts_at = ${ctx.now()}`);
}

/** Everything that can go wrong at once. */
async function everythingWrong() {
  const { operate, master, clock, ctx } = fleet.current;
  await operate("PATCH", "/v1/settings", { alertFailedRuns: 2 });
  for (const free of [900, 800, 700, 600]) {
    clock.offsetSeconds += 24 * hour;
    await room(master, { "/srv/filling": free, "/srv/full": 30 });
    await sampleDisks(ctx);
  }
  // Fresh for as long as this takes: of them something else is wrong.
  const single = { maxAttempts: 1, hosts: [], freshWithinSeconds: 90 * 24 * hour };
  for (const name of ["failing", "holding", "stalling"])
    await createProject(fleet.current, { name, ...single });
  const yearly = { schedule: "0 0 1 1 *", freshWithinSeconds: hour, hosts: ["ftp1"] };
  await createProject(fleet.current, { name: "aging", ...yearly });
  await pull("aging");
  await work(fleet.current, { agent: fleet.current.ftp1 });
  await pull("failing", results.failed);
  await pull("failing", results.failed);
  await pull("holding", results.held);
  await pull("stalling", { outcome: "stalled", exitCode: null });
  clock.offsetSeconds += hour + 60;
}

/** Words of each condition, as people are told them. */
const words = {
  failed: /failing[^\n]*2 runs in a row failed/,
  stale: /aging on ftp1[^\n]*stale[^\n]*last known to be what its source is at/,
  "out-of-contact": /ftp2[^\n]*out of contact[^\n]*heard last at/,
  held: /holding on master[^\n]*deletions held[^\n]*5 deletions among 10 entries wait/,
  "disk that is full": /\/srv\/full on master[^\n]*3 % of its space free/,
  "disk that will be": /\/srv\/filling on master[^\n]*60 % of its space free; full about 20\d\d-/,
  "no-progress": /stalling on master[^\n]*no progress[^\n]*rsync stopped making progress/,
};

test("each condition is told to each kind of receiver: when it begins, again as a reminder, and when it is over; what is refused comes later, once", async () => {
  const { operate, ctx, clock, ftp1 } = fleet.current;
  await everythingWrong();
  const told = await everyKind();
  const away = { ftp2: 20 };
  await heard(fleet.current, away);
  await lookAndDeliver(ctx);
  // Each has refused.
  expect(Object.values(told()).flat()).toEqual([]);
  clock.offsetSeconds += 60;
  await heard(fleet.current, away);
  await lookAndDeliver(ctx);
  for (const [kind, [first, ...more]] of Object.entries(told())) {
    expect(more, kind).toEqual([]);
    if (kind === "webhook") {
      // The two disks and, of what is aging, the master and the host.
      const conditions = first!
        .split("\n")
        .slice(1)
        .map((line) => line.replace(/:.*/, ""));
      expect(conditions).toEqual([
        "disk",
        "disk",
        "failed",
        "held",
        "no-progress",
        "out-of-contact",
        "stale",
        "stale",
      ]);
      continue;
    }
    expect(first, kind).toMatch(/Alert/);
    for (const [condition, expected] of Object.entries(words))
      expect(first!.replaceAll("`", ""), `${condition} by ${kind}`).toMatch(expected);
  }

  // A day later all that goes on is told again; who is silenced hears of it afterwards.
  const until = new Date(Date.now() + (clock.offsetSeconds + 25 * hour) * 1000).toISOString();
  await operate("POST", "/v1/alert-receivers/slack/silence", { until });
  clock.offsetSeconds += 24 * hour + 60;
  await heard(fleet.current, away);
  await lookAndDeliver(ctx);
  for (const [kind, [, ...later]] of Object.entries(told()))
    expect(
      later.some((text) => /^(reminder|Still so|\*Still so)/.test(text)),
      kind,
    ).toBe(kind !== "slack");
  await operate("POST", "/v1/alert-receivers/slack/silence", { until: null });
  await heard(fleet.current, away);
  await lookAndDeliver(ctx);
  expect(told().slack.some((text) => text.startsWith("*Still so"))).toBe(true);

  // All is well again.
  const { body } = await operate("GET", "/v1/status");
  for (const { task } of body.held) await operate("POST", `/v1/tasks/${task}/dismiss`);
  for (const name of ["failing", "holding", "stalling", "aging"]) await pull(name);
  await work(fleet.current, { agent: ftp1 });
  await room(fleet.current.master, { "/srv/filling": 990, "/srv/full": 900 });
  await operate("PATCH", "/v1/settings", { alertDiskDays: null });
  await heard(fleet.current);
  await evaluateAlerts(ctx);
  clock.offsetSeconds += 121;
  await heard(fleet.current);
  await lookAndDeliver(ctx);
  expect((await operate("GET", "/v1/alerts?open=1")).body.items).toEqual([]);
  for (const [kind, texts] of Object.entries(told()))
    expect(texts.at(-1), kind).toMatch(/^(closed|Over|\*Over)/);
  expect(told().webhook.at(-1)!.match(/^disk/gm)).toHaveLength(2);
});
