import { chmod, mkdtemp, readdir, readFile, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { AppError } from "../protocol/errors.ts";

/** Makes the demo's directory. @throws AppError `invalid-input` where there is no place for it. */
export async function makePlace(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "mirrorfleet-demo-")).catch((cause: Error) => {
    throw new AppError(
      "invalid-input",
      `cannot make a directory in ${tmpdir()} (${cause.message}): set TMPDIR to one that you may write to`,
      { cause },
    );
  });
  // Others may pass: the embedded Postgres runs as another user where root starts it.
  await chmod(directory, 0o755);
  return directory;
}

/** What root's control plane had to put outside of the demo's directory, as its log says. */
export async function elsewhere({ directory }: { directory: string }): Promise<string[]> {
  const log = await readFile(join(directory, "control-plane.log"), "utf8");
  return log
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => (JSON.parse(line) as { msg?: string }).msg ?? "")
    .filter((message) => message.includes("who cannot reach"));
}

/** Where the database lies when the server's user could not enter the demo's directory: a link leads there. */
async function linkedDatabase({ directory }: { directory: string }): Promise<string | null> {
  const link = await readlink(join(directory, "data", "postgres")).catch(
    (error: NodeJS.ErrnoException) => {
      // EINVAL: a directory, no link.
      if (error.code === "EINVAL" || error.code === "ENOENT") return null;
      throw error;
    },
  );
  // The control plane names it by a digest of its own place: nothing else is ever removed.
  return link !== null && /^[0-9a-f]{32}$/.test(basename(link)) ? link : null;
}

/** Removes the demo's directory and its database, also one that is half made. */
export async function removePlace({ directory }: { directory: string }): Promise<void> {
  const database = await linkedDatabase({ directory });
  if (database !== null) {
    for (const name of await readdir(dirname(database)))
      if (name.startsWith(basename(database)))
        await rm(join(dirname(database), name), { recursive: true, force: true });
  }
  await rm(directory, { recursive: true, force: true });
}
