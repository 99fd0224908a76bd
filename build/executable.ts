import { execFile } from "node:child_process";
import { chmod, copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Architecture, BuildCtx } from "./context.ts";
import { nodeFor } from "./locked-package.ts";

const run = promisify(execFile);

/** Where Node looks for the program, and the mark that says that there is one; see its documentation. */
const resourceName = "NODE_SEA_BLOB";
const sentinelFuse = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

/**
 * Makes an executable that needs no Node: Node itself with a program of one CommonJS file in it. It trusts the
 * certificates of the system, and takes options of Node from NODE_OPTIONS only.
 */
export async function makeExecutable(
  ctx: BuildCtx,
  {
    program,
    architecture,
    outfile,
  }: { program: string; architecture: Architecture; outfile: string },
): Promise<void> {
  const node = await nodeFor(ctx, { architecture });
  const directory = await mkdtemp(join(tmpdir(), "mirrorfleet-build-"));
  try {
    const blob = join(directory, "program.blob");
    const config = join(directory, "sea-config.json");
    await writeFile(
      config,
      JSON.stringify({
        main: basename(program),
        output: blob,
        disableExperimentalSEAWarning: true,
        execArgv: ["--use-system-ca"],
        // Compiled code would be of this machine's processor, and not the same in two builds.
        useCodeCache: false,
      }),
    );
    const ownNode = await nodeFor(ctx, { architecture: process.arch as Architecture });
    // The program's path gets into it: relative, so that builds in different places are alike.
    await run(ownNode, ["--experimental-sea-config", config], { cwd: dirname(program) });
    await copyFile(node, outfile);
    await chmod(outfile, 0o755);
    const postject = createRequire(import.meta.url).resolve("postject/dist/cli.js");
    const injection = [outfile, resourceName, blob, "--sentinel-fuse", sentinelFuse];
    await run(process.execPath, [postject, ...injection]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
