import { join } from "node:path";
import { bundle } from "../../build/bundle.ts";
import { openBuild } from "../../build/context.ts";
import { makeAgentDeb, makeControlPlaneDeb } from "../../build/deb-packages.ts";
import { makeExecutable } from "../../build/executable.ts";
import { makeNpmTree } from "../../build/npm-package.ts";

/** Makes .deb packages of this checkout for this machine into `out`, quickly; the agent in two revisions. */
export async function buildDebs({ out }: { out: string }) {
  const ctx = openBuild({ out, log: () => {} });
  const architecture = process.arch as "x64" | "arm64";
  const npmTree = join(out, "npm");
  await makeNpmTree(ctx, { directory: npmTree });
  const program = join(out, "parts", "mirrorfleet-agent.cjs");
  await bundle(ctx, { entry: "agent/main.ts", outfile: program, format: "commonjs" });
  const executable = join(out, "mirrorfleet-agent");
  await makeExecutable(ctx, { program, architecture, outfile: executable });
  const input = { architecture, npmTree, level: 0 };
  return {
    agent: await makeAgentDeb(ctx, { ...input, executable, revision: 1 }),
    nextAgent: await makeAgentDeb(ctx, { ...input, executable, revision: 2 }),
    controlPlane: await makeControlPlaneDeb(ctx, { ...input, revision: 1 }),
  };
}
