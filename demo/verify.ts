import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { AppError } from "../protocol/errors.ts";
import { compareTrees } from "./compare.ts";
import { rootOf } from "./fleet.ts";

const run = promisify(execFile);

/** What a bare rsync would still change, by checksum; empty when nothing. */
async function dryRun({ url, path }: { url: string; path: string }): Promise<string[]> {
  const args = [
    "-rlptH",
    "--dry-run",
    "--checksum",
    "--itemize-changes",
    "--delete",
    "--",
    url,
    `${path}/`,
  ];
  const { stdout } = await run("rsync", args, { maxBuffer: 2 ** 28 });
  return stdout.split("\n").filter(Boolean);
}

/** Compares both FTP hosts with the upstream. @throws AppError with the first differences. Returns the number of entries compared. */
export async function verify({
  directory,
  tree,
  url,
}: {
  directory: string;
  tree: string | null;
  url: string;
}): Promise<number> {
  let files = 0;
  for (const host of ["ftp1", "ftp2"] as const) {
    const path = join(rootOf(directory, host), "demo");
    const reference = tree ?? join(rootOf(directory, "master"), "demo");
    const compared = await compareTrees({ expected: reference, actual: path });
    const differences =
      tree === null
        ? [...compared.differences, ...(await dryRun({ url, path }))]
        : compared.differences;
    if (differences.length > 0) {
      throw new AppError(
        "internal",
        `${host} differs from the upstream in ${differences.length} places:\n${differences.slice(0, 10).join("\n")}`,
      );
    }
    ({ files } = compared);
  }
  return files;
}
