import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../helpers/directory.ts";

const units = fileURLToPath(new URL("../../deploy/systemd/", import.meta.url));
const analyze = await promisify(execFile)("systemd-analyze", ["--version"]).then(
  () => true,
  () => false,
);

test.skipIf(!analyze).each(["mirrorfleet-control-plane.service", "mirrorfleet-agent.service"])(
  "systemd accepts %s (needs systemd-analyze)",
  async (name) => {
    const directory = join(await temporaryDirectory(), "units");
    await mkdir(directory);
    // Only what is installed can be verified: the program's place is replaced by this Node and this checkout.
    const text = (await readFile(join(units, name), "utf8"))
      .replaceAll("/opt/mirrorfleet/node_modules/.bin/node", process.execPath)
      .replaceAll(/^Documentation=.*$/gm, "Documentation=https://example.org/");
    await writeFile(join(directory, name), text);
    const { stdout, stderr } = await promisify(execFile)("systemd-analyze", [
      "verify",
      join(directory, name),
    ]);
    expect(stdout + stderr).toBe("");
  },
);
