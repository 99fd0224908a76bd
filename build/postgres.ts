import { readdir, readFile, symlink } from "node:fs/promises";
import { basename, join } from "node:path";
import type { DebTree } from "./deb.ts";

/** Modules that initdb loads; extensions are not used. */
const modules = new Set(["plpgsql.so", "dict_snowball.so"]);

/** Is a file of the package what an installed control plane uses? */
function isUsed(path: string): boolean {
  const [, directory = "", place = "", ...rest] = path.split("/");
  if (path === "package.json" || path === "dist/index.js") return true;
  if (directory === "bin" || path === "native/pg-symlinks.json") return true;
  if (directory === "lib") {
    const isModule = place === "postgresql";
    return isModule ? modules.has(rest.join("/")) : /\.so(\.|$)/.test(place);
  }
  if (directory === "share") return rest[0] === "extension" ? rest[1]!.startsWith("plpgsql") : true;
  return false;
}

/** Puts the package with Postgres into a tree, with the links that npm packages cannot carry. */
export async function installPostgres(
  tree: DebTree,
  { from, to }: { from: string; to: string },
): Promise<void> {
  const entries = await readdir(from, { recursive: true, withFileTypes: true });
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name).slice(from.length + 1);
    if (isUsed(path)) await tree.install(join(from, path), `${to}/${path}`);
  }
  const list = await readFile(join(from, "native", "pg-symlinks.json"), "utf8");
  const links: { source: string; target: string }[] = JSON.parse(list);
  for (const { source, target } of links.filter((link) => isUsed(link.source)))
    await symlink(basename(source), join(tree.directory, to, target));
}
