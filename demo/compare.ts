import { createHash } from "node:crypto";
import { createReadStream, lstatSync, readFileSync } from "node:fs";
import { readdir, readlink } from "node:fs/promises";

type Entry = { what: string; inode: string; links: number };

/** Bytes up to which a file is read at once: opening a stream takes longer than that. */
const smallFile = 1_000_000n;

async function sha256(path: Buffer, size: bigint): Promise<string> {
  if (size <= smallFile) return createHash("sha256").update(readFileSync(path)).digest("hex");
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

async function describe(path: Buffer): Promise<Entry> {
  const stats = lstatSync(path, { bigint: true });
  // Files come without setuid and setgid bits.
  const mode = (stats.mode & (stats.isFile() ? 0o1777n : 0o7777n)).toString(8);
  // Whole seconds: what rsync itself compares.
  const mtime = stats.mtimeNs / 1_000_000_000n;
  const common = {
    inode: `${stats.dev}:${stats.ino}`,
    links: stats.isFile() ? Number(stats.nlink) : 1,
  };
  if (stats.isSymbolicLink())
    return { ...common, what: `link ${await readlink(path, "latin1")} ${mtime}` };
  if (stats.isDirectory()) return { ...common, what: `directory ${mode} ${mtime}` };
  if (stats.isFile())
    return {
      ...common,
      what: `file ${mode} ${mtime} ${stats.size} ${await sha256(path, stats.size)}`,
    };
  return { ...common, what: "special" };
}

/** Walks a tree; names are bytes, kept as latin1. */
async function walk(root: string): Promise<Map<string, Entry>> {
  const found = new Map<string, Entry>();
  const visit = async (relative: string) => {
    const path = Buffer.concat([Buffer.from(root), Buffer.from(relative, "latin1")]);
    const entry = await describe(path);
    found.set(relative, entry);
    if (!entry.what.startsWith("directory")) return;
    for (const name of await readdir(path, { encoding: "buffer" }))
      await visit(`${relative}/${name.toString("latin1")}`);
  };
  await visit("");
  return found;
}

/** For each file with several links in the tree, the first path of its group. */
function hardLinkLeaders(entries: Map<string, Entry>): Map<string, string> {
  const leaders = new Map<string, string>();
  const byInode = new Map<string, string>();
  for (const path of [...entries.keys()].toSorted()) {
    const { inode, links } = entries.get(path)!;
    if (links < 2) continue;
    if (!byInode.has(inode)) byInode.set(inode, path);
    leaders.set(path, byInode.get(inode)!);
  }
  // A file whose other links lie outside the tree stands alone.
  const sizes = Map.groupBy(leaders, ([, leader]) => leader);
  return new Map([...leaders].filter(([, leader]) => sizes.get(leader)!.length > 1));
}

/**
 * Compares two trees: names, types, content, modes, times to the second, link targets, hard links.
 * Shares no code with the product. Returns the first differences, and how much was compared.
 */
export async function compareTrees({
  expected,
  actual,
}: {
  expected: string;
  actual: string;
}): Promise<{ files: number; differences: string[] }> {
  const [left, right] = [await walk(expected), await walk(actual)];
  const [leftLinks, rightLinks] = [hardLinkLeaders(left), hardLinkLeaders(right)];
  const differences: string[] = [];
  for (const path of new Set([...left.keys(), ...right.keys()])) {
    const [a, b] = [left.get(path)?.what ?? "missing", right.get(path)?.what ?? "missing"];
    if (a !== b) differences.push(`${path || "/"}: ${a} / ${b}`);
    else if (leftLinks.get(path) !== rightLinks.get(path))
      differences.push(`${path}: hard-linked to ${leftLinks.get(path)} / ${rightLinks.get(path)}`);
  }
  return { files: left.size, differences };
}
