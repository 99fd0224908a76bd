import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openMetrics } from "../../agent/metrics.ts";
import { keepMetricsFile, metricsText } from "../../agent/metrics-file.ts";
import { makeAgentCtx } from "../helpers/agent.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { hasPromtool, promtool } from "../helpers/promtool.ts";

const inDirectory = async () => join(await temporaryDirectory(), "mirrorfleet.prom");

async function agentWith(metricsFile: string) {
  const { ctx } = await makeAgentCtx({ "metrics-file": metricsFile });
  const room = { totalBytes: 1000, freeBytes: 10, totalInodes: 0, freeInodes: 0 };
  const latest = () => ({ rsyncVersion: "3.4.1", roots: [{ path: '/srv/"a\\b', ...room }] });
  return { ...ctx, facts: { latest, stop: () => {} } };
}

test("the file says what runs, how syncs ended, the room and the contact", async () => {
  const ctx = await agentWith(await inDirectory());
  await ctx.contact.note({ at: Date.now() / 1000, leased: false });
  ctx.work.projects.add("fedora");
  await ctx.metrics.note({ project: "debian", outcome: "ok" });
  const at = Math.round(Date.now() / 1000);
  await ctx.metrics.note({ project: "debian", outcome: "partial" });
  await ctx.metrics.note({ project: "arch", outcome: "fatal" });
  const text = metricsText(ctx);
  const value = (series: string) =>
    text
      .split("\n")
      .find((each) => each.startsWith(`mirrorfleet_agent_${series} `))
      ?.split(" ")
      .at(-1);
  expect(value('running{project="fedora"}')).toBe("1");
  expect(value('last_end_success{project="debian"}')).toBe("0");
  expect(at - Number(value('last_success_timestamp_seconds{project="debian"}'))).toBeLessThan(5);
  expect(value('last_success_timestamp_seconds{project="arch"}')).toBe("0");
  expect(value('disk_free_bytes{root="/srv/\\"a\\\\b"}')).toBe("10");
  expect(Math.abs(at - Number(value("last_contact_timestamp_seconds")))).toBeLessThan(5);
  if (hasPromtool) expect(promtool(["check", "metrics"], text)).toEqual({ status: 0, said: "" });
});

test("it is written whole, for others to read, and how syncs ended outlives the agent", async () => {
  const file = await inDirectory();
  const ctx = await agentWith(file);
  await ctx.metrics.note({ project: "debian", outcome: "ok" });
  onTestFinished(keepMetricsFile(ctx));
  await expect.poll(() => readFile(file, "utf8").catch(() => "")).toBe(metricsText(ctx));
  expect((await stat(file)).mode & 0o777).toBe(0o644);
  const next = await openMetrics(ctx.config);
  expect(next.ends()).toEqual(ctx.metrics.ends());
  expect(Object.keys(next.ends())).toEqual(["debian"]);
});

test("a file that cannot be written is said once, and nothing else comes of it", async () => {
  const said: string[] = [];
  const ctx = await agentWith("/nonexistent/mirrorfleet.prom");
  const stop = keepMetricsFile({ ...ctx, log: (message) => said.push(message) });
  onTestFinished(stop);
  await expect.poll(() => said).toEqual([expect.stringContaining("cannot write the metrics file")]);
});
