import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../../protocol/errors.ts";

const sumsName = "SHA256SUMS";
const line = /^([0-9a-f]{64}) [ *]([A-Za-z0-9][A-Za-z0-9._+~-]{0,199})$/;

/** What a build of mirrorfleet has, by name: SHA-256, hex. */
export type Packages = Map<string, string>;

/** Reads the checksums of a build's output; lines that name no plain file are passed over. @throws Error of the file. */
async function readSums({ directory }: { directory: string }): Promise<Packages> {
  const text = await readFile(join(directory, sumsName), "utf8");
  const sums: Packages = new Map();
  for (const each of text.split("\n")) {
    const [, sum, name] = line.exec(each) ?? [];
    if (sum !== undefined && name !== undefined) sums.set(name, sum);
  }
  return sums;
}

const isAgents = (name: string) => /^mirrorfleet-agent(_.*\.deb|-linux-(x64|arm64))$/.test(name);

/** The agent's packages that can be installed from here, or why there are none, for people. */
export async function agentPackages({
  directory,
}: {
  directory: string | undefined;
}): Promise<{ packages: Packages } | { why: string }> {
  if (directory === undefined)
    return { why: "the control plane has no packages: MIRRORFLEET_PACKAGES is not set" };
  let sums: Packages;
  try {
    sums = await readSums({ directory });
  } catch (cause) {
    return {
      why: `the control plane's MIRRORFLEET_PACKAGES is no output of "npm run build": ${(cause as Error).message}`,
    };
  }
  const packages = new Map([...sums].filter(([name]) => isAgents(name)));
  if (packages.size > 0) return { packages };
  return { why: `no package of the agent is named in ${join(directory, sumsName)}` };
}

const types: Record<string, string> = {
  deb: "application/vnd.debian.binary-package",
  tgz: "application/gzip",
  json: "application/json",
};

/** Opens a file that the checksums name, and no other. @throws AppError `not-found`. */
export async function openPackage({
  directory,
  name,
}: {
  directory: string | undefined;
  name: string;
}) {
  const unknown = (cause?: unknown) =>
    new AppError("not-found", `there is no package ${name}`, { cause });
  if (directory === undefined) throw unknown();
  const sums = await readSums({ directory }).catch((cause: unknown) => {
    throw unknown(cause);
  });
  const sum = sums.get(name);
  if (sum === undefined) throw unknown();
  const file = await open(join(directory, name)).catch((cause: unknown) => {
    throw unknown(cause);
  });
  const { size } = await file.stat();
  const type = types[name.split(".").at(-1)!] ?? "application/octet-stream";
  return { file, size, type, sum };
}
