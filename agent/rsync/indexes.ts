import type { IndexProfile, RsyncOptions } from "../../protocol/rsync.ts";

// Debian: what ftpsync leaves out of its first stage, but for by-hash, whose names are contents.
const patterns: Record<IndexProfile, string[]> = {
  debian: [
    "Packages*",
    "Sources*",
    "Release*",
    "InRelease",
    "Contents-*",
    "Translation-*",
    "Components-*",
    "icons-*",
    "ls-lR*",
  ],
  rpm: ["repodata/"],
  arch: ["*.db", "*.db.*", "*.files", "*.files.*", "lastupdate", "lastsync"],
};

/** Patterns of the files that come last; none: everything comes at once. */
export function indexPatterns({
  indexesLast,
  indexPatterns: further,
}: Pick<RsyncOptions, "indexesLast" | "indexPatterns">): string[] {
  return [...(indexesLast === null ? [] : patterns[indexesLast]), ...further];
}

const deletionTrouble =
  /could not make way for|cannot delete non-empty directory|Deletions stopped due to|some files\/attrs were not transferred/;

/**
 * True where nothing but held back deletions kept a pass from being whole: a directory that has become
 * a file waits for the guard. `stderr` that is not whole (it has `kept` characters) proves nothing.
 */
export function waitsForDeletionsOnly({ stderr, kept }: { stderr: string; kept: number }): boolean {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  return stderr.length < kept && lines.every((line) => deletionTrouble.test(line));
}
