import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { bundle } from "../../build/bundle.ts";
import { openBuild } from "../../build/context.ts";
import { makeExecutable } from "../../build/executable.ts";
import { version } from "../../protocol/version.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

const run = promisify(execFile);
/** Where Debian's libc6-arm64-cross and its like put the libraries. */
const libraries = "/usr/aarch64-linux-gnu";
const hasQemu = await run("qemu-aarch64", ["--version"]).then(
  () => existsSync(`${libraries}/lib/libstdc++.so.6`),
  () => false,
);

test.skipIf(!hasQemu || process.arch === "arm64")(
  "the executable for arm64 that is made on another machine runs (needs qemu-user and libstdc++6-arm64-cross)",
  async () => {
    const out = await temporaryDirectory();
    const ctx = openBuild({ out, log: () => {} });
    const program = join(out, "agent.cjs");
    await bundle(ctx, { entry: "agent/main.ts", outfile: program, format: "commonjs" });
    const executable = join(out, "agent");
    await makeExecutable(ctx, { program, architecture: "arm64", outfile: executable });
    const emulated = (...args: string[]) =>
      run("qemu-aarch64", ["-L", libraries, executable, ...args]);
    expect((await emulated("--version")).stdout).toBe(`${version}\n`);
    // Not Node itself: that would have taken the option.
    await expect(emulated("--eval", "process.exit(0)")).rejects.toMatchObject({ code: 2 });
  },
);
