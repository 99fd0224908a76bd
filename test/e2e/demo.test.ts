import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { databaseElsewhere, demo, processesIn } from "../helpers/demo.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

const node = process.execPath;

const isRoot = process.getuid?.() === 0;

test("the demo syncs a fleet twice, verifies it, says so in JSON, and leaves nothing behind", async () => {
  // Closed to others: as root, the database then lies elsewhere, and is removed from there.
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
  const database = databaseElsewhere(stdout);
  expect(database !== undefined).toBe(isRoot);
  if (database) expect(existsSync(database)).toBe(false);
});

test.each([
  [["--upstream", "/nowhere/at/all"], {}, "--upstream must be a directory"],
  [["--upstream", process.execPath], {}, "--upstream must be a directory"],
  [["--upstream", "rsync://-e/x"], {}, "--upstream: names no valid host"],
  [["--upstream"], {}, "argument missing"],
  [[], { TMPDIR: "/nowhere/at/all" }, "set TMPDIR"],
])("%j with %j ends at once, and says what is wrong", async (args, env, message) => {
  const failed = await promisify(execFile)(node, [demo, "--once", ...args], {
    env: { ...process.env, ...env },
  }).catch((error: { code: number; stderr: string }) => error);
  expect(failed).toMatchObject({ code: expect.any(Number) });
  expect(failed.stderr).toContain(message);
  expect(failed.stderr).not.toContain("    at ");
});
