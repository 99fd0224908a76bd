import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../helpers/directory.ts";

const run = promisify(execFile);
const units = fileURLToPath(new URL("../../deploy/systemd/", import.meta.url));
const analyze = await run("systemd-analyze", ["--version"]).then(
  () => true,
  () => false,
);

test.skipIf(!analyze).each(["mirrorfleet-control-plane.service", "mirrorfleet-agent.service"])(
  "systemd accepts %s (needs systemd-analyze)",
  async (name) => {
    const directory = join(await temporaryDirectory(), "units");
    await mkdir(directory);
    // Only what is installed can be verified: a program that is, and no man page.
    const text = (await readFile(join(units, name), "utf8"))
      .replaceAll(/^ExecStart=\S+/gm, `ExecStart=${process.execPath}`)
      .replaceAll(/^Documentation=.*$/gm, "Documentation=https://example.org/");
    await writeFile(join(directory, name), text);
    const { stdout, stderr } = await run("systemd-analyze", ["verify", join(directory, name)]);
    expect(stdout + stderr).toBe("");
  },
);

test.skipIf(!analyze).each(["mirrorfleet-control-plane.service", "mirrorfleet-agent.service"])(
  "systemd finds %s exposed by 1.5 of 10 at most (needs systemd-analyze)",
  async (name) => {
    const threshold = ["security", "--offline=yes", "--threshold=15"];
    const { stdout } = await run("systemd-analyze", [...threshold, join(units, name)]);
    const exposure = Number(/Overall exposure level for \S+: ([0-9.]+)/.exec(stdout)?.[1]);
    expect(exposure).toBeLessThanOrEqual(1.5);
  },
);
