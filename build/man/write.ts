import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BuildCtx } from "../context.ts";
import { manPage } from "./page.ts";
import { manPages } from "./pages.ts";

/** Writes the man pages. Answers their file names, such as "mirrorfleet.1". */
export async function writeManPages(
  { version, epoch }: BuildCtx,
  { directory }: { directory: string },
): Promise<string[]> {
  await mkdir(directory, { recursive: true });
  const date = new Date(epoch * 1000).toISOString().slice(0, 10);
  return Promise.all(
    manPages().map(async (page) => {
      const file = `${page.program.name()}.${page.section}`;
      await writeFile(join(directory, file), manPage(page, { version, date }));
      return file;
    }),
  );
}
