import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { manifestOf } from "./bundle.ts";
import type { BuildCtx } from "./context.ts";

const licenceFile = /^(licen[cs]e|copying)(\.(md|txt|markdown))?$/i;

/** Packages that leave their licence's text out, with where it says which it is: their manifest. */
async function licenceText(directory: string): Promise<string | null> {
  const names = (await readdir(directory)).filter((name) => licenceFile.test(name));
  const texts = await Promise.all(
    names.toSorted().map((name) => readFile(join(directory, name), "utf8")),
  );
  return texts.length === 0 ? null : texts.map((text) => text.trim()).join("\n\n");
}

/** The licences of the packages whose code a build holds, as one text. */
export async function licencesOf(
  ctx: BuildCtx,
  { packages }: { packages: string[] },
): Promise<string> {
  const sections = await Promise.all(
    packages.map(async (name) => {
      const { directory, manifest } = manifestOf(ctx, { name });
      const heading = `${name} ${manifest.version}, licence: ${manifest.license}`;
      const text = await licenceText(directory);
      return `${heading}\n\n${text ?? "The package holds no text of its licence."}\n`;
    }),
  );
  return sections.join(`\n${"-".repeat(72)}\n\n`);
}
