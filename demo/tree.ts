import { cp, link, lstat, mkdir, readdir, statfs, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AppError } from "../protocol/errors.ts";

const defaultTreeBytes = 20_000_000;
const nodeModules = fileURLToPath(new URL("../node_modules", import.meta.url));

/** Count and bytes of what lies below a directory; sockets, devices and the like left out. */
export async function measure(directory: string): Promise<{ files: number; bytes: number }> {
  let [files, bytes] = [0, 0];
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    files += 1;
    if (entry.isFile()) bytes += (await lstat(join(entry.parentPath, entry.name))).size;
  }
  return { files, bytes };
}

const plain = async (path: string) => {
  const stats = await lstat(path);
  return stats.isFile() || stats.isDirectory() || stats.isSymbolicLink();
};

/** Copies a tree with times, modes and symlinks as they are; special files are left out. */
async function copy({ from, to, signal }: { from: string; to: string; signal: AbortSignal }) {
  await cp(from, to, {
    recursive: true,
    preserveTimestamps: true,
    verbatimSymlinks: true,
    filter: (path) => {
      signal.throwIfAborted();
      return plain(path);
    },
  });
}

async function addLinks(target: string) {
  const links = join(target, "links");
  await mkdir(links);
  const files = (await readdir(target, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  );
  for (const [index, entry] of files.slice(0, 40).entries())
    await link(join(entry.parentPath, entry.name), join(links, `hard-${index}`));
  await symlink("hard-1", join(links, "relative"));
  await symlink("/nonexistent/absolute", join(links, "dangling"));
  await symlink("..", join(links, "parent"));
}

/** Fills `target` with a real tree that every checkout has: some of its dependencies, with links added. */
async function defaultTree({ target, signal }: { target: string; signal: AbortSignal }) {
  await mkdir(target);
  let room = defaultTreeBytes;
  for (const name of (await readdir(nodeModules)).toSorted()) {
    const from = join(nodeModules, name);
    if (name.startsWith(".") || !(await lstat(from)).isDirectory()) continue;
    const { bytes } = await measure(from);
    if (bytes > room || bytes > 5_000_000) continue;
    room -= bytes;
    await copy({ from, to: join(target, name), signal });
  }
  await addLinks(target);
}

/** Makes the upstream's tree at `target`, until `signal`; the user's own directory is only read. @throws AppError where the disk is too small. */
export async function makeTree({
  from,
  target,
  signal,
}: {
  from: string | null;
  target: string;
  signal: AbortSignal;
}): Promise<void> {
  if (from === null) return defaultTree({ target, signal });
  const { bytes } = await measure(from).catch((cause: Error) => {
    throw new AppError(
      "invalid-input",
      `--upstream must be a directory that you may read, or an rsync:// URL: ${cause.message}`,
      { cause },
    );
  });
  const { bavail, bsize } = await statfs(join(target, ".."));
  const needed = bytes * 4 + 100_000_000;
  if (needed > bavail * bsize) {
    throw new AppError(
      "invalid-input",
      `--upstream: four copies of ${from} need ${Math.ceil(needed / 1e6)} MB; ${Math.floor((bavail * bsize) / 1e6)} MB are free (set TMPDIR to a larger disk)`,
    );
  }
  await copy({ from, to: target, signal });
}
