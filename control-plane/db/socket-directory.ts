import { chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import type { Account } from "./run-as.ts";
import { canEnter } from "./run-as.ts";

/** Both sides build the socket's name from this; nothing listens on a TCP port. */
export const socketPort = 5432;

/** sun_path holds 108 bytes, the last of them a NUL. */
const longestSocketPath = 107;
const temporaryPrefix = "mirrorfleet-postgres-";

/**
 * Where the server's socket goes: into the cluster, or, where that path is too long for a
 * socket, into a temporary directory (0700). Either is closed to all but its owner and root.
 */
export async function makeSocketDirectory({
  cluster,
  account,
}: {
  cluster: string;
  account: Account | undefined;
}): Promise<string> {
  if (fits(cluster)) return cluster;
  let base = tmpdir();
  const room = join(base, `${temporaryPrefix}XXXXXX`);
  if (!fits(room) || (account && !(await canEnter({ account, directory: base })))) base = "/tmp";
  const directory = await mkdtemp(join(base, temporaryPrefix));
  if (account) await chown(directory, account.uid, account.gid);
  return directory;
}

/** Removes a socket directory that `makeSocketDirectory` made; leaves any other path alone. */
export async function removeSocketDirectory(directory: string): Promise<void> {
  const path = resolve(directory);
  if (!basename(path).startsWith(temporaryPrefix)) return;
  if (![resolve(tmpdir()), "/tmp"].includes(dirname(path))) return;
  await rm(path, { recursive: true, force: true });
}

function fits(directory: string): boolean {
  return Buffer.byteLength(join(directory, `.s.PGSQL.${socketPort}`)) <= longestSocketPath;
}
