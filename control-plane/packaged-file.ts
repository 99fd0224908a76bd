import { existsSync } from "node:fs";
import { findPackageJSON } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The directory of mirrorfleet's package.json: where the sources are, and in a build the one file of them all. */
const packageDirectory = () => dirname(findPackageJSON(import.meta.url)!);

/** A file that belongs to mirrorfleet, named from the directory of its package.json. */
export const packagedFile = (path: string): string => join(packageDirectory(), path);

/** A file of another package, such as "htmx.org/dist/htmx.min.js": a build has a copy in its directory "vendor". */
export function vendorFile(specifier: string): string {
  const copy = packagedFile(`vendor/${specifier}`);
  return existsSync(copy) ? copy : fileURLToPath(import.meta.resolve(specifier));
}
