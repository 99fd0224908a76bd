import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";

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
  const directory = await open(dirname(path), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
