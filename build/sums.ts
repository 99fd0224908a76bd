import { createHash, createPrivateKey, sign } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { BuildCtx } from "./context.ts";

const sumsName = "SHA256SUMS";

async function sumOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

/**
 * Writes SHA256SUMS of all files that were made, and SHA256SUMS.sig where the releaser gives an Ed25519 key
 * (PEM) in the file MIRRORFLEET_SIGNING_KEY_FILE. @throws Error where that is no such key.
 */
export async function writeSums(
  { out, log }: BuildCtx,
  { environment }: { environment: NodeJS.ProcessEnv },
): Promise<void> {
  const entries = await readdir(out, { withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
    .map(({ name }) => name);
  const lines = await Promise.all(
    names.toSorted().map(async (name) => `${await sumOf(join(out, name))}  ${name}\n`),
  );
  const sums = Buffer.from(lines.join(""));
  await writeFile(join(out, sumsName), sums);
  const keyFile = environment["MIRRORFLEET_SIGNING_KEY_FILE"];
  if (keyFile === undefined) {
    log(`${sumsName} is not signed: MIRRORFLEET_SIGNING_KEY_FILE is not set`);
    return;
  }
  const key = createPrivateKey(await readFile(keyFile));
  if (key.asymmetricKeyType !== "ed25519")
    throw new Error(
      `${keyFile} is no Ed25519 key: make one with "openssl genpkey -algorithm ed25519"`,
    );
  await writeFile(join(out, `${sumsName}.sig`), sign(null, sums, key));
}
