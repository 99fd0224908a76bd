import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BuildCtx } from "./context.ts";

/** Lies in a directory that a build made, and may empty. */
const mark = ".mirrorfleet-build";

/**
 * Makes `out` empty for a build. @throws Error where it holds something that no build put there: a wrong `--out`
 * must not cost anybody their files. The repository's own `dist` is for builds alone.
 */
export async function emptyOut({
  root,
  out: directory,
}: Pick<BuildCtx, "root" | "out">): Promise<void> {
  const names: string[] = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const isOurs = names.includes(mark) || directory === join(root, "dist");
  if (names.length > 0 && !isOurs)
    throw new Error(
      `${directory} is not empty, and no build made it: empty it yourself, or name another one with --out`,
    );
  // The mark goes last: ended half-way, the next build can still empty it.
  for (const name of names.filter((each) => each !== mark))
    await rm(join(directory, name), { recursive: true });
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, mark), "");
}
