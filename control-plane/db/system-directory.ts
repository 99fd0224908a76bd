import { chmod, lstat, mkdir } from "node:fs/promises";
import { AppError } from "../../protocol/errors.ts";

/**
 * Where root puts what the server's user could not reach elsewhere. Not /var/lib/mirrorfleet:
 * a service manager may give that to another user, and root must not write in there.
 */
export const defaultSystemDirectory = "/var/lib/mirrorfleet-postgres";

/**
 * Makes `directory` for root alone to write in, for all to enter.
 * @throws AppError `unavailable` where another user could change what is in it.
 */
export async function ensureRootDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const { uid } = await lstat(directory);
  if (uid !== 0) {
    throw new AppError("unavailable", `${directory} belongs to user ${uid}: it must be root's`);
  }
  await chmod(directory, 0o755);
}
