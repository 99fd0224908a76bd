import { readlink, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../../protocol/errors.ts";
import { readIfThere } from "./files.ts";
import { removeSocketDirectory } from "./socket-directory.ts";

/** The server's command line carries the process id of its control plane under this name. */
export const ownerSetting = "mirrorfleet.owner";

/**
 * Stops the server that a killed control plane left running on `cluster`, and clears a
 * postmaster.pid whose process id now belongs to something else. Needs the directory's lock.
 * @throws AppError `conflict` where the server still has its owner, or is not of our making.
 */
export async function stopLeftoverPostmaster(
  ctx: { log: (message: string) => void },
  { cluster }: { cluster: string },
): Promise<void> {
  const file = join(cluster, "postmaster.pid");
  const lines = (await readIfThere(file))?.split("\n");
  if (!lines) return;
  const pid = Number(lines[0]);
  if (!Number.isSafeInteger(pid) || pid <= 1) return;
  const server = await findServer({ pid, cluster });
  if (!server) {
    // Postgres itself would take any process of this number for a running server.
    await rm(file, { force: true });
  } else if (server.owner === undefined || server.owner === server.parent) {
    const holder =
      server.owner === undefined
        ? `Postgres, process ${pid}, not started by mirrorfleet`
        : `process ${server.owner}`;
    throw new AppError(
      "conflict",
      `${cluster} is in use by another mirrorfleet control plane (${holder}): stop that one, or give this one its own data directory`,
    );
  } else {
    ctx.log(`stopping Postgres (process ${pid}), left running by a control plane that was killed`);
    await stopProcess({ pid, cluster });
  }
  if (lines[4]) await removeSocketDirectory(lines[4]);
}

/** Finds whether `pid` is a server on `cluster`: Postgres works inside its data directory. */
async function findServer({ pid, cluster }: { pid: number; cluster: string }) {
  const argv = (await readIfThere(`/proc/${pid}/cmdline`))?.split("\0");
  if (!argv || basename(argv[0] ?? "") !== "postgres") return undefined;
  if ((await workingDirectory(pid)) !== cluster) return undefined;
  const owner = argv.find((arg) => arg.startsWith(`${ownerSetting}=`))?.split("=")[1];
  const status = await readIfThere(`/proc/${pid}/status`);
  return {
    owner: owner === undefined ? undefined : Number(owner),
    parent: Number(/^PPid:\s*(\d+)/m.exec(status ?? "")?.[1]),
  };
}

async function workingDirectory(pid: number): Promise<string | undefined> {
  try {
    return await readlink(`/proc/${pid}/cwd`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another user's process cannot be the server of a cluster that is ours.
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES") return undefined;
    throw error;
  }
}

async function stopProcess({ pid, cluster }: { pid: number; cluster: string }): Promise<void> {
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ESRCH") return;
      throw error;
    }
    const deadline = Date.now() + 20_000;
    while (Date.now() < deadline) {
      if (!(await findServer({ pid, cluster }))) return;
      await sleep(20);
    }
  }
  throw new AppError("unavailable", `Postgres (process ${pid}) on ${cluster} does not stop`);
}
