import { once } from "node:events";
import { access, constants, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { z } from "zod";
import type { Config } from "../config.ts";
import { targetIfThere } from "../db/files.ts";
import { fault } from "./cure.ts";

/** Share of a disk, in percent, below which the database is about to stop. */
const leastFreePercent = 5;

/** Whether a control plane answers at an address. */
async function isControlPlane({ host, port }: Config["listen"]): Promise<boolean> {
  const name =
    { "0.0.0.0": "127.0.0.1", "::": "[::1]" }[host] ?? (host.includes(":") ? `[${host}]` : host);
  const answer = await fetch(`http://${name}:${port}/healthz`, {
    signal: AbortSignal.timeout(5000),
  })
    .then((response) => response.json())
    // Whatever else it says, it is none.
    .catch(() => null);
  return z.object({ status: z.literal("ok"), time: z.string() }).safeParse(answer).success;
}

/** Is the address free, or a control plane's already? */
export async function checkAddress({ listen }: Config): Promise<string> {
  const address = `${listen.host}:${listen.port}`;
  const server = createServer();
  try {
    await once(server.listen(listen.port, listen.host), "listening");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "EADDRINUSE" && (await isControlPlane(listen)))
      return `a control plane answers at ${address}`;
    const cures: Record<string, string> = {
      EADDRINUSE: "another program has it: set MIRRORFLEET_LISTEN to another host:port",
      EADDRNOTAVAIL: "no such address on this machine: set MIRRORFLEET_LISTEN to one that it has",
      EACCES: "this user may not: set MIRRORFLEET_LISTEN to a port from 1024 on",
    };
    throw fault(`${address}: ${cures[code ?? ""] ?? message}`, cause);
  }
  server.close();
  await once(server, "close");
  return `${address} is free: no control plane runs there`;
}

async function checkSecretFile(path: string): Promise<void> {
  const found = await targetIfThere(path);
  if (found && (found.mode & 0o077) !== 0)
    throw fault(`others may read ${path}: chmod 600 ${path}`);
}

/** Is the data directory ours, and closed to others where it must be? */
export async function checkDataDirectory(config: Config): Promise<string> {
  const directory = config.dataDirectory;
  const found = await targetIfThere(directory);
  if (!found) return `${directory} is not there yet: the first start of the control plane makes it`;
  if (!found.isDirectory()) throw fault(`${directory} is no directory: set MIRRORFLEET_DATA`);
  if ((found.mode & 0o022) !== 0)
    throw fault(`others may write in ${directory}: chmod go-w ${directory}`);
  await access(directory, constants.R_OK | constants.W_OK | constants.X_OK).catch(
    (cause: unknown) => {
      throw fault(
        `this user may not write in ${directory}, which belongs to user ${found.uid}: run as that user, or chown it`,
        cause,
      );
    },
  );
  for (const path of [config.secretFile, config.adminTokenFile]) await checkSecretFile(path);
  return directory;
}

/** Is there room for data and, where it is embedded, the database? */
export async function checkRoom({ dataDirectory, databaseUrl }: Config): Promise<string> {
  const cluster = join(dataDirectory, "postgres");
  const said: string[] = [];
  for (const path of databaseUrl === undefined ? [dataDirectory, cluster] : [dataDirectory]) {
    if (!(await targetIfThere(path))) continue;
    const { bavail, blocks, bsize, ffree, files } = await statfs(path);
    const gigabytes = `${((bavail * bsize) / 1e9).toFixed(1)} GB`;
    if ((bavail / blocks) * 100 < leastFreePercent)
      throw fault(
        `${path} has only ${gigabytes} (${((bavail / blocks) * 100).toFixed(1)} %) free: make room, or keep less: mirrorfleet settings --keep-runs, --keep-logs`,
      );
    // Some file systems have no fixed number of inodes, and say 0.
    if (files > 0 && (ffree / files) * 100 < leastFreePercent)
      throw fault(`${path} has only ${ffree} inodes free: make room`);
    said.push(`${path} has ${gigabytes} free`);
  }
  return said.join("; ") || "nothing is there yet";
}
