import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeAgentsFleet } from "../../helpers/agents-fleet.ts";

const whole = { kind: "whole" as const };

/** A host that has followed its master once; then the upstream gets a large file, and links which rsync makes at once. */
async function begin() {
  const project = await (await makeAgentsFleet()).begin();
  await writeFile(join(project.root, "file"), "first");
  await project.pull(whole);
  expect(await project.follow(0, whole)).toBe("scan");
  await writeFile(join(project.root, "large"), Buffer.alloc(20_000_000, "large"));
  for (const name of ["x", "y", "z"]) await symlink(name, join(project.root, name));
  return project;
}

test("what a pull had done and not told when its connection broke reaches the hosts, by a scan", async () => {
  const { pull, follow, differences } = await begin();
  expect((await pull({ kind: "cut", bytes: 10_000_000 })).outcome).toBe("retryable");
  await pull(whole);
  expect(await follow(0, whole)).toBe("scan");
  expect(await differences(0)).toEqual([]);
});

test.each([0, 10, 100])(
  "a pull that came no further than %i bytes of its source's answer has done nothing: the lists go on",
  async (bytes) => {
    const { pull, follow, differences } = await begin();
    expect((await pull({ kind: "cut", bytes })).outcome).toBe("retryable");
    await pull(whole);
    expect(await follow(0, whole)).toBe("lists");
    expect(await differences(0)).toEqual([]);
  },
);
