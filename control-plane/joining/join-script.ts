import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Joining } from "../../protocol/host.ts";
import type { Ctx } from "../context.ts";
import { readMasters } from "../db/queries/hosts.ts";
import { packagedFile } from "../packaged-file.ts";
import { agentPackages, type Packages } from "./packages.ts";

/**
 * The script that an invitation's line runs: static but for the packages' checksums and the agent's unit, so that
 * one checksum stands for all that it installs.
 */
async function makeScript({ packages }: { packages: Packages }): Promise<string> {
  const template = await readFile(packagedFile("deploy/join.sh"), "utf8");
  const unit = await readFile(packagedFile("deploy/systemd/mirrorfleet-agent.service"), "utf8");
  const sums = [...packages].map(([name, sum]) => `${sum}  ${name}`).toSorted();
  // Functions: "$&" and the like in what is put in mean nothing.
  return template.replace("@PACKAGES@", () => sums.join("\n")).replace("@UNIT@\n", () => unit);
}

type Directory = Pick<Ctx, "packagesDirectory">;

/** The join script, or why there is none, for people. */
export async function readJoinScript({
  packagesDirectory: directory,
}: Directory): Promise<{ script: string } | { why: string }> {
  const found = await agentPackages({ directory });
  return "why" in found ? found : { script: await makeScript(found) };
}

/** Port of a master's rsync daemon where its agent has not said another. */
const defaultPort = 8873;

/**
 * Where an FTP host is to pull from: the fleet's masters. One that has not said its key yet is named so that the
 * host may pull either way.
 */
async function mastersSources(ctx: Pick<Ctx, "db">): Promise<string[]> {
  const masters = await readMasters(ctx);
  return masters.map(({ addresses, daemonPort, facts }) => {
    const [address = ""] = addresses;
    const host = address.includes(":") ? `[${address}]` : address;
    const scheme = facts?.tls?.daemonKeySha256 ? "rsyncs" : "rsync";
    return `${scheme}://${host}:${daemonPort ?? defaultPort}/`;
  });
}

/** What an invitation's line is made of, beside the token and the address of the control plane. */
export async function joiningOf(
  ctx: Pick<Ctx, "db" | "packagesDirectory">,
  { roles }: { roles: string[] },
): Promise<Joining> {
  const found = await readJoinScript(ctx);
  const sources = roles.includes("master") ? [] : await mastersSources(ctx);
  if ("why" in found) return { scriptSha256: null, why: found.why, sources };
  const scriptSha256 = createHash("sha256").update(found.script).digest("hex");
  return { scriptSha256, why: null, sources };
}
