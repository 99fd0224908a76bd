import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../helpers/directory.ts";
import { hasPromtool, promtool } from "../helpers/promtool.ts";

test.skipIf(!hasPromtool)("the alert rules fire when they are to, and not before", () => {
  const { status, said } = promtool([
    "test",
    "rules",
    "deploy/prometheus/mirrorfleet.rules.test.yml",
  ]);
  expect([status, said]).toEqual([0, expect.stringContaining("SUCCESS")]);
});

type Panel = { title: string; targets: { expr: string }[] };

test.skipIf(!hasPromtool)("Prometheus can read every expression of the dashboard", async () => {
  const { panels } = JSON.parse(await readFile("deploy/grafana/mirrorfleet.json", "utf8")) as {
    panels: Panel[];
  };
  const expressions = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  const rules = expressions.map((expr, index) => ({ record: `panel:${index}`, expr }));
  expect(rules.length).toBeGreaterThan(15);
  const groups = [{ name: "panels", rules }];
  const file = join(await temporaryDirectory(), "rules.yml");
  await writeFile(file, JSON.stringify({ groups }));
  const { status, said } = promtool(["check", "rules", file]);
  expect([status, said]).toEqual([0, expect.stringContaining(`${rules.length} rules found`)]);
});
