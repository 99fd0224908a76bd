import { readFile } from "node:fs/promises";
import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { evaluateAlerts } from "../../../control-plane/alerts/evaluate.ts";
import { reclaimExpired } from "../../../control-plane/dispatch/reclaim.ts";
import { metricSources } from "../../../control-plane/db/queries/metrics.ts";
import { createApp } from "../../../control-plane/http/app.ts";
import { addReceiver, heard } from "../../helpers/alerts.ts";
import { fillFleet } from "../../helpers/big-fleet.ts";
import { createProject, openLease, trigger, useFleet, work } from "../../helpers/fleet.ts";
import { hasPromtool, promtool } from "../../helpers/promtool.ts";

const fleet = useFleet();

const scrape = async (token: string | null = fleet.current.admin, app = fleet.current.app) =>
  app.request("/metrics", token === null ? {} : { headers: { authorization: `Bearer ${token}` } });
const textOf = async () => (await scrape()).text();

/** The value of a sample; undefined where there is none. */
const sample = (text: string, series: string) =>
  text
    .split("\n")
    .find((line) => line.startsWith(`${series} `))
    ?.slice(series.length + 1);

const stats = {
  files: 12,
  created: 1,
  deleted: 0,
  transferred: 1,
  totalBytes: 4096,
  transferredBytes: 10,
  literalBytes: 10,
  matchedBytes: 0,
  sentBytes: 20,
  receivedBytes: 300,
};

/** A project whose pull ended, one host that has it, one that failed once, one lease lost, deletions held. */
async function someHistory() {
  const { master, ftp1, ftp2, clock, ctx } = fleet.current;
  await createProject(fleet.current, { schedule: "0 0 1 1 *", freshWithinSeconds: 3600 });
  const room = { totalInodes: 0, freeInodes: 0, totalBytes: 1e13, freeBytes: 1e12 };
  await ftp1.poll({
    facts: { rsyncVersion: '3.4"1\\\n', roots: [{ path: '/srv/"a\\b', ...room }] },
    clock: new Date(Date.now() - 30_000).toISOString(),
  });
  await trigger(fleet.current);
  await work(fleet.current, { agent: master, result: { scanned: true, seconds: 7, stats } });
  await work(fleet.current, { agent: ftp1, result: { stats } });
  await work(fleet.current, { agent: ftp2, result: { outcome: "retryable", exitCode: 30 } });
  clock.offsetSeconds = 100;
  openLease(await ftp2.poll());
  clock.offsetSeconds = 300;
  await reclaimExpired(ctx);
  await trigger(fleet.current);
  const held = { deletions: 900, entries: 1000, examples: [], directories: [] };
  await work(fleet.current, { agent: master, result: { outcome: "held", exitCode: null, held } });
}

test("metrics say how fresh the fleet is and what it did", async () => {
  await someHistory();
  const text = await textOf();
  const value = (series: string) => sample(text, `mirrorfleet_${series}`);
  const number = (series: string) => Number(value(series));
  expect(number('replica_age_seconds{project="debian",host="ftp1"}')).toBeCloseTo(300, -1.5);
  expect(value('replica_age_seconds{project="debian",host="ftp2"}')).toBe("+Inf");
  expect(value('replica_behind_generations{project="debian",host="ftp2"}')).toBe("1");
  expect(value('project_freshness_target_seconds{project="debian"}')).toBe("3600");
  expect(value('project_bytes{project="debian"}')).toBe("4096");
  expect(value('last_pull_duration_seconds{project="debian"}')).toBe("7");
  expect(value('last_pull_received_bytes{project="debian"}')).toBe("300");
  expect(value('task_attempts_total{host="ftp2",outcome="retryable"}')).toBe("1");
  expect(value('task_attempts_total{host="master",outcome="held"}')).toBe("1");
  expect(value('leases_lost_total{host="ftp2"}')).toBe("1");
  expect(value('received_bytes_total{host="ftp1"}')).toBe("300");
  expect(value('runs_total{project="debian",state="failed"}')).toBe("1");
  expect(value('runs_active{state="distributing"}')).toBe("1");
  expect(value('held_deletions{project="debian",host="master"}')).toBe("900");
  expect(value('tasks_waiting{host="ftp2"}')).toBe("1");
  expect(number('oldest_waiting_task_age_seconds{host="ftp2"}')).toBeCloseTo(300, -1.5);
  expect(number('host_clock_skew_seconds{host="ftp1"}')).toBeCloseTo(-30, -0.5);
  expect(value('agent_in_contact{host="ftp1"}')).toBe("0");
  fleet.current.clock.offsetSeconds = 0;
  expect(sample(await textOf(), 'mirrorfleet_agent_in_contact{host="ftp1"}')).toBe("1");
  expect(value("agents_enrolled")).toBe("3");
  expect(value("fleet_paused")).toBe("0");
  expect(value('dispatch_latency_seconds_bucket{le="+Inf"}')).toBe("4");
  expect(value("dispatch_latency_seconds_count")).toBe("4");
  expect(text).toContain('disk_free_bytes{host="ftp1",root="/srv/\\"a\\\\b"} 1000000000000');
  expect(text).toContain('rsync="3.4\\"1\\\\\\n"');
});

test.skipIf(!hasPromtool)("promtool has nothing to say of them", async () => {
  await someHistory();
  expect(promtool(["check", "metrics"], await textOf())).toEqual({ status: 0, said: "" });
});

test("what is counted does not go back when old runs are removed", async () => {
  await someHistory();
  const counters = (text: string) =>
    text.split("\n").filter((line) => /^mirrorfleet_\w+(_total|_bucket|_sum|_count)\b/.test(line));
  const before = counters(await textOf());
  expect(before.length).toBeGreaterThan(20);
  await fleet.current.ctx.db.execute(sql`delete from runs`);
  expect(counters(await textOf())).toEqual(before);
});

test("a viewer reads metrics, nobody else does, and everybody where the settings say so", async () => {
  const { operate } = fleet.current;
  const { token } = (await operate("POST", "/v1/tokens", { name: "prom", scope: "viewer" })).body;
  expect((await scrape(token)).status).toBe(200);
  expect((await scrape(null)).status).toBe(401);
  await operate("PATCH", "/v1/settings", { openMetrics: true });
  const open = await scrape(null);
  expect(open.status).toBe(200);
  expect(open.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect((await operate("GET", "/v1/settings")).body.openMetrics).toBe(true);
});

test("whichever replica is asked says the same", async () => {
  await someHistory();
  const other = createApp(fleet.current.ctx);
  // Ages grow between the two.
  const still = async (app: typeof other) =>
    (await (await scrape(fleet.current.admin, app)).text()).replaceAll(
      /^(mirrorfleet_\w+_(?:age|unheard)_seconds\S*) .*$/gm,
      "$1",
    );
  expect(await still(other)).toBe(await still(fleet.current.app));
});

test("500 projects on 50 hosts are a scrape of seconds at most", async () => {
  await fillFleet(fleet.current.ctx.db, { projects: 500, hosts: 50 });
  const started = performance.now();
  const text = await textOf();
  const seconds = (performance.now() - started) / 1000;
  const samples = text.split("\n").filter((line) => line.startsWith("mirrorfleet_")).length;
  process.stdout.write(`scrape: ${samples} samples in ${seconds.toFixed(2)} s\n`);
  expect(samples).toBeGreaterThan(50_000);
  expect(seconds).toBeLessThan(10);
});

/** The metrics that a PromQL expression names. */
const namesIn = (expression: string) =>
  [...expression.matchAll(/mirrorfleet_\w+/g)].map(([name]) => name.replace(/_bucket$/, ""));

test("every metric that the alert rules and the dashboard name is there", async () => {
  const text = await textOf();
  const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
  const rules = await readFile("deploy/prometheus/mirrorfleet.rules.yml", "utf8");
  const dashboard = await readFile("deploy/grafana/mirrorfleet.json", "utf8");
  const named = [...namesIn(rules), ...namesIn(dashboard)];
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
  const docs = await readFile("docs/metrics.md", "utf8");
  expect([...known].filter((name) => !docs.includes(`\`${name}\``))).toEqual([]);
});

test("docs/metrics.md names each metric with its type and its labels", async () => {
  const rows = (await readFile("docs/metrics.md", "utf8"))
    .split("\n")
    .map((line) => line.split("|").map((cell) => cell.trim()))
    .filter((cells) => ["gauge", "counter", "histogram"].includes(cells[2]!))
    .map(([, name, type, labels]) => `${name} ${type} ${labels}`);
  const own = metricSources(fleet.current.ctx).flatMap(({ labels, metrics }) =>
    Object.entries(metrics).map(
      ([name, [, type]]) => `\`mirrorfleet_${name}\` ${type} ${labels.join(", ")}`,
    ),
  );
  const others = ["build_info` gauge version", "dispatch_latency_seconds` histogram "];
  expect(rows.toSorted()).toEqual(
    [...own, ...others.map((each) => `\`mirrorfleet_${each}`)].toSorted(),
  );
});

test("a project's runs are counted from nothing on: the first failure is an increase", async () => {
  await createProject(fleet.current);
  const runs = 'mirrorfleet_runs_total{project="debian",state="failed"}';
  expect(sample(await textOf(), runs)).toBe("0");
});

test("metrics count the alerts that go on, and the messages that wait for each receiver", async () => {
  const { ctx } = fleet.current;
  await addReceiver(fleet.current, { url: "http://127.0.0.1:2/" });
  await heard(fleet.current, { ftp1: 20, ftp2: 20 });
  await evaluateAlerts(ctx);
  const text = await textOf();
  expect(sample(text, 'mirrorfleet_alerts_open{condition="out-of-contact"}')).toBe("2");
  expect(sample(text, 'mirrorfleet_alert_messages_waiting{receiver="hook"}')).toBe("1");
});

test("a dry run is no sync: it counts neither as an attempt nor with its time and bytes", async () => {
  const { operate, master, ctx, clock } = fleet.current;
  await createProject(fleet.current);
  const none = { entries: 0, examples: [] };
  const dryRun = {
    created: none,
    changed: none,
    deleted: none,
    held: null,
    bytes: 1,
    files: 2,
    totalBytes: 3,
  };
  await operate("POST", "/v1/projects/debian/dry-run");
  await work(fleet.current, { agent: master, result: { changes: 0, seconds: 9, stats, dryRun } });
  const before = await textOf();
  expect(before).not.toContain('mirrorfleet_task_attempts_total{host="master"');
  expect(before).not.toContain('mirrorfleet_sync_seconds_total{host="master"');
  expect(before).not.toContain('mirrorfleet_received_bytes_total{host="master"');
  // Of an agent that falls silent it does not matter what it did.
  await operate("POST", "/v1/projects/debian/dry-run");
  openLease(await master.poll());
  clock.offsetSeconds = 300;
  await reclaimExpired(ctx);
  const text = await textOf();
  expect(sample(text, 'mirrorfleet_leases_lost_total{host="master"}')).toBe("1");
  expect(text).not.toContain('mirrorfleet_task_attempts_total{host="master"');
});
