import { createHash } from "node:crypto";
import {
  chown,
  mkdtemp,
  open,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  rmdir,
  symlink,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { AppError } from "../../protocol/errors.ts";
import { readIfThere, statIfThere, targetIfThere } from "./files.ts";
import type { Binaries } from "./postgres-binaries.ts";
import { type Account, canEnter, dyingWithParent, runAs, unprivilegedAccount } from "./run-as.ts";
import { ensureRootDirectory } from "./system-directory.ts";

/** Superuser of the cluster; the only one, as nobody else gets at the socket. */
export const clusterUser = "mirrorfleet";

/** For a small machine; they land in postgresql.conf, where the administrator may change them. */
const initialSettings = {
  shared_buffers: "64MB",
  max_connections: "60",
  max_wal_size: "512MB",
  jit: "off",
  log_checkpoints: "off",
  log_timezone: "UTC",
  timezone: "UTC",
};

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

/**
 * Makes the cluster unless it is there. It is made under another name and renamed, so that
 * a half-made one is never taken for a cluster. Needs the directory's lock.
 * @throws AppError `unavailable` with initdb's words, or on a major version not ours.
 */
export async function ensureCluster({
  cluster,
  account,
  binaries,
}: {
  cluster: string;
  account: Account | undefined;
  binaries: Binaries;
}): Promise<void> {
  const version = (await readIfThere(join(cluster, "PG_VERSION")))?.trim();
  if (version === String(binaries.major)) return;
  if (version !== undefined) {
    throw new AppError(
      "unavailable",
      `the database in ${cluster} was made by Postgres ${version}, and the embedded one is ${binaries.major}: move it with pg_dump and pg_restore or pg_upgrade, or start the version of mirrorfleet that made it`,
    );
  }
  if ((await statIfThere(cluster)) && (await readdir(cluster)).length > 0) {
    throw new AppError(
      "unavailable",
      `${cluster} is neither empty nor a Postgres database: give another data directory`,
    );
  }
  await removeUnfinished(cluster);
  const unfinished = await mkdtemp(`${cluster}.new-`);
  if (account) await chown(unfinished, account.uid, account.gid);
  await initialise({ directory: unfinished, account, binaries });
  await moveIntoPlace({ unfinished, cluster });
}

async function removeUnfinished(cluster: string): Promise<void> {
  const prefix = `${basename(cluster)}.new-`;
  for (const name of await readdir(dirname(cluster))) {
    if (!name.startsWith(prefix)) continue;
    // Retried, as an initdb whose control plane was killed may still be writing.
    await rm(join(dirname(cluster), name), { recursive: true, force: true, maxRetries: 10 });
  }
}

async function initialise({
  directory,
  account,
  binaries,
}: {
  directory: string;
  account: Account | undefined;
  binaries: Binaries;
}): Promise<void> {
  // Trust holds only for who can enter the socket's directory (0700): the server's user and
  // root. `peer` would not do, as root's control plane connects to another user's server.
  const args = [
    ...["--auth-local=trust", "--auth-host=reject", `--username=${clusterUser}`],
    ...["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
    ...Object.entries(initialSettings).flatMap(([name, value]) => ["--set", `${name}=${value}`]),
    ...["--no-instructions", `--pgdata=${directory}`],
  ];
  const [file, ...rest] = [
    ...(await dyingWithParent({ account, signal: "KILL" })),
    ...[binaries.initdb, ...args],
  ];
  const { ok, output } = await runAs({ account, file: file ?? binaries.initdb, args: rest });
  if (ok) return;
  await rm(directory, { recursive: true, force: true });
  throw new AppError("unavailable", `could not make the database in ${directory}: ${output}`);
}

async function moveIntoPlace({
  unfinished,
  cluster,
}: {
  unfinished: string;
  cluster: string;
}): Promise<void> {
  try {
    await rename(unfinished, cluster);
  } catch (cause) {
    await rm(unfinished, { recursive: true });
    if ((cause as NodeJS.ErrnoException).code !== "EBUSY") throw cause;
    throw new AppError(
      "unavailable",
      `${cluster} is a mount point: give a directory inside it, such as ${join(cluster, "postgres")}`,
      { cause },
    );
  }
  // initdb has synced the files; the rename is safe once their parent is on disk too.
  const parent = await open(dirname(cluster));
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}
