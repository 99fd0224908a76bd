import { execFileSync } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeAgentsFleet } from "../helpers/agents-fleet.ts";

const whole = { kind: "whole" as const };

test("a hundred thousand files in one directory", { timeout: 240_000 }, async () => {
  const project = await (await makeAgentsFleet()).begin();
  const many = join(project.root, "many");
  await mkdir(many);
  execFileSync("sh", ["-c", "seq 100000 | xargs touch"], { cwd: many });
  await project.pull(whole);
  expect(await project.follow(0, whole)).toBe("scan");
  await writeFile(join(many, "500"), "changed");
  await rm(join(many, "501"));
  await writeFile(join(many, "new"), "new");
  await project.pull(whole);
  expect(await project.follow(0, whole)).toBe("lists");
  expect(await project.differences(0)).toEqual([]);
});
