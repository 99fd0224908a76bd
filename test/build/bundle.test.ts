import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { bundle } from "../../build/bundle.ts";
import { openBuild } from "../../build/context.ts";
import { version } from "../../protocol/version.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

const run = promisify(execFile);

test.each([
  ["agent", "esm"],
  ["agent", "commonjs"],
  ["cli", "esm"],
  ["control-plane", "esm"],
] as const)(
  "the %s as one file (%s) runs where no package is installed",
  async (program, format) => {
    const out = await temporaryDirectory();
    const ctx = openBuild({ out, log: () => {} });
    const outfile = join(out, format === "esm" ? "main.mjs" : "main.cjs");
    await writeFile(join(out, "package.json"), "{}");
    const packages = await bundle(ctx, { entry: `${program}/main.ts`, outfile, format });
    expect(packages).toContain("zod");
    const { stdout } = await run(process.execPath, [outfile, "--version"], { cwd: out });
    expect(stdout).toBe(`${version}\n`);
  },
);

test("a bundle of the agent starts itself again, for rsync's connections, and no source", async () => {
  const out = await temporaryDirectory();
  const ctx = openBuild({ out, log: () => {} });
  const outfile = join(out, "main.mjs");
  await bundle(ctx, { entry: "agent/self.ts", outfile, format: "esm" });
  const { ownCommand } = await import(outfile);
  expect(ownCommand()).toEqual([process.execPath, outfile]);
});

test("the version of the packages is that which programs tell", () => {
  expect(openBuild({ out: "/nowhere", log: () => {} }).version).toBe(version);
});
