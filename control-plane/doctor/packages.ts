import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { version } from "../../protocol/version.ts";
import type { Config } from "../config.ts";
import { agentPackages, type Packages } from "../joining/packages.ts";
import { fault } from "./cure.ts";

const renew = `put the agent's packages and SHA256SUMS of one build of ${version} there (docs/joining.md)`;

/** Who may change a file there is root on each host that joins. */
async function checkWriters(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o022) !== 0) throw fault(`others may write ${path}: chmod go-w ${path}`);
}

async function checkFile({
  path,
  name,
  sum,
}: {
  path: string;
  name: string;
  sum: string;
}): Promise<void> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash).catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === "ENOENT"
      ? fault(`SHA256SUMS names ${name}, which is not in that directory: ${renew}`, cause)
      : fault(`cannot read ${path}: ${cause.message}: let this user read it`, cause);
  });
  if (hash.digest("hex") !== sum)
    throw fault(`${path} is not what SHA256SUMS says, so no host installs it: ${renew}`);
  await checkWriters(path);
}

const { compare } = new Intl.Collator("en", { numeric: true });

/** The newest version of the .deb packages, which is the one that hosts get; undefined: there are none. */
function newestVersion(packages: Packages): string | undefined {
  const versions = [...packages.keys()].flatMap(
    (name) => /^mirrorfleet-agent_(.+)-\d+_[a-z0-9]+\.deb$/.exec(name)?.[1] ?? [],
  );
  return versions.toSorted(compare).at(-1);
}

/** Are the packages for hosts that join whole, ours alone to change, and of this version? */
export async function checkPackages({
  packagesDirectory: directory,
}: Pick<Config, "packagesDirectory">): Promise<string> {
  if (directory === undefined)
    return "none: MIRRORFLEET_PACKAGES is not set, so hosts that join are installed by hand";
  const found = await agentPackages({ directory });
  if ("why" in found) throw fault(`${found.why}: ${renew}, or unset MIRRORFLEET_PACKAGES`);
  for (const path of [directory, join(directory, "SHA256SUMS")]) await checkWriters(path);
  const { packages } = found;
  for (const [name, sum] of packages) await checkFile({ path: join(directory, name), name, sum });
  const newest = newestVersion(packages);
  if (newest !== undefined && newest !== version)
    throw fault(
      `hosts that join get version ${newest} of the agent, and the control plane is ${version}: ${renew}`,
    );
  const said = newest ?? "executables alone, whose version their names do not say";
  return `${packages.size} of the agent in ${directory}: ${said}`;
}
