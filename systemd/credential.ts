import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A credential that systemd gives to this service (LoadCredential= of the unit), without the newline at its end; undefined where there is none. */
export function readCredential(
  environment: Record<string, string | undefined>,
  { name }: { name: string },
): string | undefined {
  const directory = environment["CREDENTIALS_DIRECTORY"];
  if (directory === undefined) return undefined;
  try {
    return readFileSync(join(directory, name), "utf8").trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
