import { createHash } from "node:crypto";
import { readdir, readlink, realpath, rmdir, symlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { AppError } from "../../protocol/errors.ts";
import { readIfThere, statIfThere, targetIfThere } from "./files.ts";
import { type Account, canEnter, unprivilegedAccount } from "./run-as.ts";
import { ensureRootDirectory } from "./system-directory.ts";

/**
 * The user that must own and run the cluster in `directory`: its present owner, or for a
 * new one an unprivileged user. Undefined where mirrorfleet runs as an ordinary user.
 * @throws AppError `unavailable` where the owner is a user that we cannot become.
 */
export async function clusterAccount({ directory }: { directory: string }) {
  const owner = await targetIfThere(directory);
  const self = process.getuid?.();
  if (self !== 0) {
    if (!owner || owner.uid === self) return undefined;
    throw new AppError(
      "unavailable",
      `the database in ${directory} belongs to user ${owner.uid}: start as that user or as root, or hand it over with: chown -R`,
    );
  }
  const version = await readIfThere(join(directory, "PG_VERSION"));
  if (!owner || version === undefined) return unprivilegedAccount();
  if (owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  throw new AppError(
    "unavailable",
    `the database in ${directory} belongs to root, and Postgres does not run as root: hand it over with: chown -R mirrorfleet (or nobody) ${directory}`,
  );
}

/**
 * Answers the real path of the cluster for `directory`. Where `account` cannot reach it,
 * that is a directory of root's under `systemDirectory`, and `directory` a link to it.
 */
export async function placeCluster(
  ctx: { log: (message: string) => void },
  {
    directory,
    account,
    systemDirectory,
  }: { directory: string; account: Account | undefined; systemDirectory: string },
): Promise<string> {
  const clusters = join(systemDirectory, "clusters");
  const stat = await statIfThere(directory);
  if (stat?.isSymbolicLink()) {
    const target = resolve(dirname(directory), await readlink(directory));
    // Our own link may outlive what it led to; it is then a new, empty place.
    if (account && dirname(target) === clusters)
      await ensureClusters({ systemDirectory, clusters });
    return join(await realpath(dirname(target)), basename(target));
  }
  if (!account || (await canEnter({ account, directory: dirname(directory) }))) return directory;
  if (stat && (await readdir(directory)).length > 0) {
    throw new AppError(
      "unavailable",
      `Postgres runs as user ${account.uid}, who cannot reach ${directory}: move it to where that user can, or allow entering the directories above it (chmod o+x)`,
    );
  }
  await ensureClusters({ systemDirectory, clusters });
  const cluster = join(clusters, createHash("sha256").update(directory).digest("hex").slice(0, 32));
  if (stat) await rmdir(directory);
  await symlink(cluster, directory);
  ctx.log(
    `Postgres runs as user ${account.uid}, who cannot reach ${directory}: the database is kept in ${cluster}, and ${directory} is a link to it`,
  );
  return cluster;
}

async function ensureClusters(input: { systemDirectory: string; clusters: string }) {
  await ensureRootDirectory(input.systemDirectory);
  await ensureRootDirectory(input.clusters);
}
