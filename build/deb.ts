import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmod,
  cp,
  lutimes,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import type { BuildCtx } from "./context.ts";

const maintainerScripts = ["postinst", "prerm", "postrm"];

/** The tree of a package that is made: its directory, and what puts files into it. */
export type DebTree = {
  directory: string;
  /** Copies a file or directory to a path in the package, with what may be done to it. */
  install: (from: string, to: string, mode?: number) => Promise<void>;
  write: (to: string, text: string, mode?: number) => Promise<void>;
  /** As `write`, compressed: ".gz" is appended to the path. */
  writeGzip: (to: string, text: string) => Promise<void>;
};

function openTree({ directory }: { directory: string }): DebTree {
  const write = async (to: string, content: string | Buffer, mode = 0o644) => {
    const path = join(directory, to);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    await chmod(path, mode);
  };
  return {
    directory,
    write,
    writeGzip: (to, text) => write(`${to}.gz`, gzipSync(text, { level: 9 })),
    install: async (from, to, mode) => {
      const path = join(directory, to);
      await mkdir(dirname(path), { recursive: true });
      await cp(from, path, { recursive: true, verbatimSymlinks: true });
      if (mode !== undefined) await chmod(path, mode);
    },
  };
}

/** All that is in a directory, the directory itself and what is deepest last; names in the order of their bytes. */
async function entriesOf(
  directory: string,
): Promise<{ path: string; kind: "file" | "directory" | "link" }[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .map((entry) => ({
      path: join(entry.parentPath, entry.name),
      kind: entry.isDirectory()
        ? ("directory" as const)
        : entry.isSymbolicLink()
          ? ("link" as const)
          : ("file" as const),
    }))
    .toSorted((left, right) => (left.path < right.path ? -1 : 1));
}

/** Modes that no umask of whoever builds has a part in, and the sums of all files. */
async function settle({ directory }: DebTree): Promise<{ sums: string; kibibytes: number }> {
  const sums: string[] = [];
  let kibibytes = 0;
  for (const { path, kind } of await entriesOf(directory)) {
    if (kind === "directory") await chmod(path, 0o755);
    if (kind !== "file") {
      kibibytes += 1;
      continue;
    }
    const content = await readFile(path);
    const { mode } = await stat(path);
    await chmod(path, (mode & 0o111) === 0 || /\.so(\.|$)/.test(path) ? 0o644 : 0o755);
    kibibytes += Math.ceil(content.length / 1024);
    const name = path.slice(directory.length + 1);
    // What administrators change, dpkg itself keeps account of.
    if (name.startsWith("etc/")) continue;
    sums.push(`${createHash("md5").update(content).digest("hex")}  ${name}`);
  }
  return { sums: `${sums.join("\n")}\n`, kibibytes };
}

/** Who makes the package, as Debian's tools ask for it. */
function maintainer({ DEBFULLNAME: name, DEBEMAIL: email }: NodeJS.ProcessEnv): string {
  return `${name ?? "mirrorfleet builder"} <${email ?? "root@localhost.localdomain"}>`;
}

function debianChangelog({ epoch }: BuildCtx, { version }: { version: string }): string {
  const date = new Date(epoch * 1000).toUTCString().replace("GMT", "+0000");
  return `mirrorfleet (${version}) unstable; urgency=medium

  * Made from the sources of this version: changelog.gz says what is new.

 -- ${maintainer(process.env)}  ${date}
`;
}

/**
 * Makes a .deb: `fill` puts the program's files into its tree; control file, maintainer scripts and
 * configuration come from deploy/deb/`name`. Builds of one commit are alike.
 * `level` of compression: 0 is quick, 6 is xz's own.
 */
export async function makeDeb(
  ctx: BuildCtx,
  {
    name,
    architecture,
    revision,
    level,
    fill,
  }: {
    name: string;
    architecture: string;
    revision: number;
    level: number;
    fill: (tree: DebTree) => Promise<void>;
  },
): Promise<string> {
  const version = `${ctx.version}-${revision}`;
  const directory = join(ctx.out, "deb", `${name}_${architecture}`);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  const tree = openTree({ directory });
  await fill(tree);
  const doc = `usr/share/doc/${name}`;
  await tree.writeGzip(`${doc}/changelog.Debian`, debianChangelog(ctx, { version }));
  await tree.writeGzip(`${doc}/changelog`, await readFile(join(ctx.root, "CHANGELOG.md"), "utf8"));
  const { sums, kibibytes } = await settle(tree);
  const source = join(ctx.root, "deploy", "deb", name);
  const control = await readFile(join(source, "control"), "utf8");
  await tree.write(
    "DEBIAN/control",
    control
      .replace("@VERSION@", version)
      .replace("@ARCHITECTURE@", architecture)
      .replace("@MAINTAINER@", maintainer(process.env))
      .replace("@INSTALLED_SIZE@", String(kibibytes)),
  );
  const configuration = (await entriesOf(directory))
    .filter(({ path, kind }) => kind === "file" && path.startsWith(join(directory, "etc/")))
    .map(({ path }) => path.slice(directory.length));
  await tree.write("DEBIAN/conffiles", configuration.map((path) => `${path}\n`).join(""));
  await tree.write("DEBIAN/md5sums", sums);
  for (const script of maintainerScripts)
    await tree.install(join(source, script), `DEBIAN/${script}`, 0o755);
  for (const { path } of await entriesOf(directory)) await lutimes(path, ctx.epoch, ctx.epoch);
  await chmod(directory, 0o755);
  const file = join(ctx.out, `${name}_${version}_${architecture}.deb`);
  await promisify(execFile)(
    "dpkg-deb",
    ["--root-owner-group", "-Zxz", `-z${level}`, "--build", directory, file],
    { env: { ...process.env, SOURCE_DATE_EPOCH: String(ctx.epoch) } },
  );
  return file;
}
