import { chown, mkdtemp, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AppError } from "../../protocol/errors.ts";
import { readIfThere, statIfThere } from "./files.ts";
import type { Binaries } from "./postgres-binaries.ts";
import { type Account, dyingWithParent, runAs } from "./run-as.ts";

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
  const command = [
    ...(await dyingWithParent({ account, signal: "KILL" })),
    binaries.initdb,
    "--auth-local=trust",
    "--auth-host=reject",
    `--username=${clusterUser}`,
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
    `--pgdata=${directory}`,
    ...Object.entries(initialSettings).flatMap(([name, value]) => ["--set", `${name}=${value}`]),
  ];
  const { ok, output } = await runAs({ account, command });
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
