import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import type { Architecture, BuildCtx } from "./context.ts";

const run = promisify(execFile);

/** What package-lock.json says of a package. */
async function lockEntry({ root }: Pick<BuildCtx, "root">, { name }: { name: string }) {
  const lock = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8"));
  const { version, integrity } = lock.packages[`node_modules/${name}`];
  return { version: version as string, integrity: integrity as string };
}

async function hasVersion(directory: string, version: string): Promise<boolean> {
  const text = await readFile(join(directory, "package.json"), "utf8").catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "{}";
      throw error;
    },
  );
  return JSON.parse(text).version === version;
}

/**
 * The directory of a package as package-lock.json pins it: as npm installed it, or, where it is for another
 * processor than this machine's, from npm's registry, compared with the lock, and kept in node_modules/.cache.
 */
export async function lockedPackage(
  ctx: Pick<BuildCtx, "root" | "log">,
  { name }: { name: string },
): Promise<string> {
  const { version, integrity } = await lockEntry(ctx, { name });
  const installed = join(ctx.root, "node_modules", name);
  if (await hasVersion(installed, version)) return installed;
  const cache = join(ctx.root, "node_modules", ".cache", "packages");
  const kept = join(cache, `${name.replace("/", "-")}-${version}`);
  if (await hasVersion(kept, version)) return kept;
  ctx.log(`fetching ${name}@${version}`);
  const partial = `${kept}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  const { stdout } = await run(
    "npm",
    ["pack", "--silent", "--pack-destination", partial, `${name}@${version}`],
    { cwd: partial },
  );
  const archive = join(partial, basename(stdout.trim()));
  const digest = createHash("sha512")
    .update(await readFile(archive))
    .digest("base64");
  if (`sha512-${digest}` !== integrity)
    throw new Error(`${archive} is not what package-lock.json says`);
  await run("tar", ["-xzf", archive, "-C", partial]);
  await rename(join(partial, "package"), kept);
  await rm(partial, { recursive: true });
  return kept;
}

/** The path of Node for a processor. */
export const nodeFor = async (
  ctx: Pick<BuildCtx, "root" | "log">,
  { architecture }: { architecture: Architecture },
): Promise<string> =>
  join(await lockedPackage(ctx, { name: `node-linux-${architecture}` }), "bin", "node");
