import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const filesOfPackage = 6;
const packagesOfLetter = 400;

/** Place of a file in a tree like that of Debian's pool. */
function pathOf(index: number): string {
  const number = Math.floor(index / filesOfPackage);
  const letter = String.fromCodePoint(97 + (Math.floor(number / packagesOfLetter) % 26));
  return `pool/main/${letter}/package-${number}/package-${number}_${index % filesOfPackage}.deb`;
}

/** Makes a tree of so many small files. */
export function makePool(root: string, { files }: { files: number }): void {
  for (let index = 0; index < files; index++) {
    const path = join(root, pathOf(index));
    if (index % filesOfPackage === 0) mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, `file ${index}\n`.repeat((index % 8) + 1));
  }
}

/**
 * Changes `count` entries, spread over the tree: half are written anew, a quarter come, a quarter go.
 * Answers their paths, with the directories whose times that changed.
 */
export function changePool(
  root: string,
  { files, count, round }: { files: number; count: number; round: number },
): { changed: string[]; deleted: string[] } {
  const changed = new Set<string>();
  const deleted: string[] = [];
  const step = Math.max(1, Math.floor(files / Math.max(1, count)));
  for (let at = 0; at < count; at++) {
    // A prime offset: each round meets files that others did not delete.
    const path = pathOf((at * step + round * 7919) % files);
    const directory = path.slice(0, path.lastIndexOf("/"));
    if (at % 4 === 3) {
      rmSync(join(root, path), { force: true });
      deleted.push(path);
      changed.add(directory);
    } else if (at % 4 === 2) {
      const added = `${path}.${round}`;
      writeFileSync(join(root, added), `added in round ${round}\n`);
      changed.add(added).add(directory);
    } else {
      // As mirrors see it: a new file under the old name.
      writeFileSync(join(root, `${path}.new`), `changed in round ${round}, ${at}\n`);
      renameSync(join(root, `${path}.new`), join(root, path));
      changed.add(path).add(directory);
    }
  }
  return { changed: [...changed], deleted };
}
