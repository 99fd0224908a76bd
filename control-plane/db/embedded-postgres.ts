import { mkdir, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { clusterAccount, placeCluster } from "./cluster-place.ts";
import { lockDirectory } from "./directory-lock.ts";
import { stopLeftoverPostmaster } from "./leftover-postmaster.ts";
import { findBinaryPackage, usableBinaries } from "./postgres-binaries.ts";
import { clusterUser, ensureCluster } from "./postgres-cluster.ts";
import { type ServerExit, startServer } from "./postgres-server.ts";
import { makeSocketDirectory, removeSocketDirectory, socketPort } from "./socket-directory.ts";
import { defaultSystemDirectory } from "./system-directory.ts";

/** A running server. `connection` is what the driver takes as options. */
export type EmbeddedPostgres = {
  connection: { host: string; port: number; database: string; user: string };
  /** Ends the server after its open transactions are rolled back. May be called again. */
  stop: () => Promise<void>;
  /** Settles when the server has ended, by `stop` or on its own. Never rejects. */
  exited: Promise<ServerExit>;
};

/**
 * Starts the embedded Postgres on `directory` (made where absent) with a database
 * `mirrorfleet`. It listens on a Unix socket only and runs until `stop`; its log is
 * `<directory>.log`. As root it runs as user `mirrorfleet` or `nobody`.
 * `settings` are Postgres settings that override the configuration file.
 * @throws AppError `conflict` where another control plane uses `directory`, `unavailable`
 * with the reason and the cure where Postgres cannot run.
 */
export async function startEmbeddedPostgres(
  ctx: { log: (message: string) => void },
  {
    directory,
    settings = {},
    systemDirectory = defaultSystemDirectory,
  }: { directory: string; settings?: Record<string, string>; systemDirectory?: string },
): Promise<EmbeddedPostgres> {
  const parent = dirname(resolve(directory));
  await mkdir(parent, { recursive: true });
  const place = join(await realpath(parent), basename(resolve(directory)));
  const lock = await lockDirectory({ directory: place });
  let socketDirectory: string | undefined;
  const release = async () => {
    if (socketDirectory) await removeSocketDirectory(socketDirectory);
    await lock.release();
  };
  try {
    const source = await findBinaryPackage();
    const account = await clusterAccount({ directory: place });
    const binaries = await usableBinaries(ctx, { source, account, systemDirectory });
    const cluster = await placeCluster(ctx, { directory: place, account, systemDirectory });
    await stopLeftoverPostmaster(ctx, { cluster });
    await ensureCluster({ cluster, account, binaries });
    socketDirectory = await makeSocketDirectory({ cluster, account });
    const connection = {
      host: socketDirectory,
      port: socketPort,
      database: "mirrorfleet",
      user: clusterUser,
    };
    const log = `${place}.log`;
    const server = await startServer(ctx, {
      binaries,
      account,
      cluster,
      connection,
      log,
      settings,
    });
    const stopAndRelease = async () => {
      try {
        await server.stop();
      } finally {
        await release();
      }
    };
    let stopped: Promise<void> | undefined;
    const stop = () => (stopped ??= stopAndRelease());
    return { connection, stop, exited: server.exited };
  } catch (error) {
    await release();
    throw error;
  }
}
