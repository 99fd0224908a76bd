import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build as bundle, type BuildOptions, type Plugin } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const require = createRequire(import.meta.url);

/** Files that pages load, by their places in a build: see control-plane/packaged-file.ts. */
const files = [
  "control-plane/dashboard/assets/dashboard.css",
  "control-plane/dashboard/assets/dashboard.js",
  "control-plane/dashboard/assets/versions.js",
  "control-plane/dashboard/assets/icon.svg",
  "vendor/htmx.org/dist/htmx.min.js",
  "vendor/uplot/dist/uPlot.iife.min.js",
  "vendor/uplot/dist/uPlot.min.css",
  "vendor/swagger-ui-dist/swagger-ui-bundle.js",
  "vendor/swagger-ui-dist/swagger-ui.css",
];

async function copyFiles({ directory }: { directory: string }): Promise<void> {
  for (const place of files) {
    const to = join(directory, place);
    await mkdir(dirname(to), { recursive: true });
    const [, specifier] = /^vendor\/(.*)$/.exec(place) ?? [];
    await cp(specifier === undefined ? join(root, place) : require.resolve(specifier), to);
  }
}

const common: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  platform: "node",
  external: ["pg-native", "cloudflare:sockets"],
  legalComments: "none",
  logLevel: "warning",
};

/** CommonJS packages call `require`, which an ES module has not; `from`: where it looks. */
const requireBanner = (from: string) => ({
  js: `import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(${from});`,
});

/** Directory of the files in a Worker: workerd shows a Worker's modules below /bundle. */
const filesOfWorker = "files";

const worker: Plugin = {
  name: "what a Worker has elsewhere",
  setup: (build) => {
    build.onLoad({ filter: /control-plane\/packaged-file\.ts$/ }, () => ({
      contents: `export const packagedFile = (path) => "/bundle/${filesOfWorker}/" + path;
        export const vendorFile = (specifier) => packagedFile("vendor/" + specifier);`,
    }));
    // workerd's "require" does not know this one, though its "import" does.
    build.onResolve({ filter: /^(node:)?process$/ }, ({ kind }) =>
      kind === "require-call" ? { path: "process", namespace: "global" } : null,
    );
    build.onLoad({ filter: /^process$/, namespace: "global" }, () => ({
      contents: "module.exports = globalThis.process;",
    }));
  },
};

/**
 * Bundles control-plane/serverless.ts for workerd: `main.js`, and beside it the files that pages load, as
 * modules of type Data. Answers the paths of those files.
 */
export async function buildWorker({ outdir }: { outdir: string }): Promise<string[]> {
  await rm(outdir, { recursive: true, force: true });
  await bundle({
    ...common,
    entryPoints: ["control-plane/serverless.ts"],
    outfile: join(outdir, "main.js"),
    target: "es2024",
    conditions: ["workerd", "worker"],
    // Writes with console, which is what such a platform collects.
    alias: { pino: "pino/browser.js" },
    plugins: [worker],
    banner: requireBanner('"/"'),
  });
  await copyFiles({ directory: join(outdir, filesOfWorker) });
  return files.map((place) => join(outdir, filesOfWorker, place));
}

/** Bundles control-plane/lambda.ts for AWS Lambda's Node: a directory to zip, with the handler `index.handler`. */
export async function buildLambda({ outdir }: { outdir: string }): Promise<void> {
  await rm(outdir, { recursive: true, force: true });
  await bundle({
    ...common,
    entryPoints: ["control-plane/lambda.ts"],
    outfile: join(outdir, "index.mjs"),
    target: "node24",
    banner: requireBanner("import.meta.url"),
  });
  await copyFiles({ directory: outdir });
  // Marks the directory that files are named from.
  await writeFile(join(outdir, "package.json"), '{ "name": "mirrorfleet", "type": "module" }\n');
}

if (import.meta.main) {
  await buildWorker({ outdir: join(root, "dist/worker") });
  await buildLambda({ outdir: join(root, "dist/lambda") });
  process.stdout.write("dist/worker\ndist/lambda\n");
}
