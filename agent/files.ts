import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** Makes what was made, renamed or removed in a directory outlive a power failure. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Writes a file so that a crash leaves the old one or the new one: temporary file, fsync, rename, fsync of the directory. */
export async function writeFileAtomically({
  path,
  text,
  mode,
}: {
  path: string;
  text: string;
  mode: number;
}): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, "w", mode);
  try {
    await file.chmod(mode);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}
