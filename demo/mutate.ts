import {
  appendFile,
  chmod,
  lstat,
  mkdir,
  readdir,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";

export type Changes = { edited: number; added: number; deleted: number; renamed: number };

/** Changes an upstream as its maintainers might: edits, adds, deletes and renames; far fewer deletions than the guard holds. */
export async function mutate({ directory }: { directory: string }): Promise<Changes> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files: string[] = [];
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    // Edits of hard-linked files would count twice.
    if (entry.isFile() && (await lstat(path)).nlink === 1) files.push(path);
  }
  files.sort();
  const share = Math.max(1, Math.min(40, Math.floor(files.length / 50)));
  const pick = (offset: number) => files.filter((_, index) => index % 4 === offset).slice(0, share);
  const [edited, deleted, renamed, moded] = [pick(0), pick(1), pick(2), pick(3)];
  for (const path of edited) await appendFile(path, "\nedited upstream\n");
  for (const path of deleted) await rm(path);
  for (const path of renamed) await rename(path, `${path}.renamed`);
  for (const path of moded) await chmod(path, 0o640 ^ ((await lstat(path)).mode & 0o044));
  const added = join(directory, "added by the demo");
  await mkdir(added, { recursive: true });
  const marker = `${Date.now()}`;
  for (let index = 0; index < share; index++)
    await writeFile(join(added, `new file ${index} ${marker}`), `${marker} ${index}\n`);
  await symlink(`new file 0 ${marker}`, join(added, `latest ${marker}`));
  return {
    edited: edited.length + moded.length,
    added: share + 1,
    deleted: deleted.length,
    renamed: renamed.length,
  };
}
