import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../helpers/directory.ts";

const demo = fileURLToPath(new URL("../../demo/main.ts", import.meta.url));
const node = process.execPath;

/** Processes whose command line or environment's state lies in this directory. */
async function processesIn(directory: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)("ps", ["-eo", "pid,args"], { maxBuffer: 2 ** 24 });
  return stdout.split("\n").filter((line) => line.includes(directory));
}

test("the demo syncs a fleet twice, verifies it, says so in JSON, and leaves nothing behind", async () => {
  const directory = await temporaryDirectory();
  const { stdout } = await promisify(execFile)(node, [demo, "--once"], {
    env: { ...process.env, TMPDIR: directory },
    maxBuffer: 2 ** 24,
  });
  const summary = JSON.parse(stdout.trim().split("\n").at(-1)!);
  expect(summary).toMatchObject({
    ok: true,
    first: { master: expect.any(Number), ftp1: expect.any(Number), ftp2: expect.any(Number) },
  });
  expect(summary.verified).toBeGreaterThan(1000);
  expect(summary.changes.deleted).toBeGreaterThan(0);
  expect(await processesIn(directory)).toEqual([]);
  expect(await readdir(directory)).toEqual([]);
});

test.each(["the demo is in", "control plane:", "have joined", "first sync", "syncing"])(
  "Ctrl-C after %j ends the demo with 130 and leaves nothing behind",
  async (marker) => {
    const directory = await temporaryDirectory();
    const child = spawn(node, [demo, "--once"], {
      env: { ...process.env, TMPDIR: directory },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes(marker)) child.kill("SIGINT");
    });
    const [status] = await once(child, "exit");
    expect(status).toBe(130);
    expect(output.trim().split("\n").at(-1)).toContain('{"ok":false,"reason":"ended by SIGINT"}');
    expect(await processesIn(directory)).toEqual([]);
    expect(await readdir(directory)).toEqual([]);
  },
);
