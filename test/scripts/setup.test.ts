import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../helpers/directory.ts";

const setup = fileURLToPath(new URL("../../scripts/setup.sh", import.meta.url));

/** Runs the setup as an ordinary user of a Debian without rsync, which has these programs besides. */
async function setUp(programs: Record<string, string>, args = ["rsync"]) {
  const bin = await temporaryDirectory();
  const present = ["sh", "dirname", "cmp"].filter((name) => !(name in programs));
  for (const name of present) await symlink(`/usr/bin/${name}`, join(bin, name));
  for (const [name, script] of Object.entries({ id: "echo 1000", "apt-get": "", ...programs }))
    await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const result = promisify(execFile)("/bin/sh", [setup, ...args], { env: { PATH: bin } });
  return result.then(
    ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
      status: code,
      stdout,
      stderr,
    }),
  );
}

test.each([
  [
    "sudo asks for a password",
    { sudo: "exit 1" },
    "sudo sh -c 'apt-get update && apt-get install -y rsync'",
  ],
  ["there is no sudo", {}, "su -c 'apt-get update && apt-get install -y rsync'"],
])(
  "where rsync is missing and %s, the setup stops with the one line to type",
  async (_, programs, line) => {
    expect(await setUp(programs)).toEqual({
      status: 1,
      stdout: "",
      stderr: `mirrorfleet setup: rsync is missing. Type this, then start again:  ${line}\n`,
    });
  },
);

test("a package manager that installs no rsync is not believed", async () => {
  const { status, stderr } = await setUp({ sudo: "exit 0" });
  expect(status).toBe(1);
  expect(stderr).toContain("could not install rsync");
});

test("root's setup goes on where nginx and PgBouncer cannot be installed", async () => {
  const { stdout, stderr } = await setUp(
    { id: "echo 0", rsync: "", "apt-get": "exit 1", cmp: "" },
    ["rsync", "proxies"],
  );
  if (existsSync("/run/systemd/system")) expect(stdout).toBe("");
  else expect(stdout).toContain("could not install them: their tests are skipped");
  expect(stderr).toBe("");
});

test("each way to start looks for rsync first", async () => {
  const manifest = await readFile(new URL("../../package.json", import.meta.url), "utf8");
  const { scripts } = JSON.parse(manifest) as { scripts: Record<string, string> };
  for (const name of ["start", "demo", "test"])
    expect(scripts[name]).toMatch(/^sh scripts\/setup\.sh rsync (proxies )?&& /);
});
