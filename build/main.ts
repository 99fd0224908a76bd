import { copyFile, mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { bundle } from "./bundle.ts";
import { architectures, type Architecture, openBuild } from "./context.ts";
import { makeAgentDeb, makeControlPlaneDeb } from "./deb-packages.ts";
import { makeExecutable } from "./executable.ts";
import { bundleName, makeNpmTree, packNpm } from "./npm-package.ts";
import { emptyOut } from "./out.ts";
import { makeSbom } from "./sbom.ts";
import { writeSums } from "./sums.ts";

const kinds = ["npm", "bundle", "executable", "deb"] as const;
type Kind = (typeof kinds)[number];

type Options = { out: string; only: Kind[]; arch: Architecture[]; revision: number; level: number };

function wholeNumber(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError("must be a whole number");
  return Number(text);
}

/** Makes what a release consists of. */
async function build({ out, only, arch, revision, level }: Options): Promise<void> {
  // Modes of what is made are not for whoever makes it to decide.
  process.umask(0o022);
  const log = (message: string) => process.stderr.write(`${message}\n`);
  const ctx = openBuild({ out: resolve(out), log });
  const makes = (kind: Kind) => only.includes(kind);
  await emptyOut(ctx);
  const npmTree = join(ctx.out, "npm");
  await mkdir(npmTree, { recursive: true });
  await makeNpmTree(ctx, { directory: npmTree });
  if (makes("npm")) {
    log("npm package");
    await packNpm(ctx, { directory: npmTree });
  }
  if (makes("bundle"))
    await copyFile(join(npmTree, "agent", bundleName), join(ctx.out, "mirrorfleet-agent.mjs"));
  const program = join(ctx.out, "parts", "mirrorfleet-agent.cjs");
  await bundle(ctx, { entry: "agent/main.ts", outfile: program, format: "commonjs" });
  for (const architecture of makes("executable") || makes("deb") ? arch : []) {
    log(`executable of the agent, ${architecture}`);
    const executable = join(ctx.out, `mirrorfleet-agent-linux-${architecture}`);
    await makeExecutable(ctx, { program, architecture, outfile: executable });
    if (makes("deb")) {
      log(`.deb packages, ${architectures[architecture]}`);
      const input = { architecture, npmTree, revision, level };
      await makeAgentDeb(ctx, { ...input, executable });
      await makeControlPlaneDeb(ctx, input);
    }
    if (!makes("executable")) await rm(executable);
  }
  for (const parts of ["parts", "deb"])
    await rm(join(ctx.out, parts), { recursive: true, force: true });
  await makeSbom(ctx);
  await writeSums(ctx, { environment: process.env });
  log(`made in ${ctx.out}`);
}

const several = (name: string, values: readonly string[]) =>
  new Option(`--${name} <${name}...>`).choices(values).default([...values]);

await new Command("build")
  .description("Makes packages of mirrorfleet: docs/packages.md")
  .option("--out <directory>", "where they go; emptied first, if a build made it", "dist")
  .addOption(several("only", kinds))
  .addOption(several("arch", Object.keys(architectures)))
  .option("--revision <number>", "revision of the .deb packages", wholeNumber, 1)
  .option("--level <number>", "compression of the .deb packages: 0 is quick", wholeNumber, 6)
  .action(build)
  .parseAsync();
