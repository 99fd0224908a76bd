/**
 * What an rsync did with one path. Paths are as rsync writes them in the C locale: bytes that are not
 * printable ASCII as "\#ooo"; directories without a final slash, the root is ".".
 */
export type Change =
  | { kind: "deleted"; path: string }
  | {
      kind: "changed";
      path: string;
      directory: boolean;
      created: boolean;
      leader: string | null;
    };

/** `--out-format` of lines that `parseChange` reads: no name holds "//", so it ends the name. */
export const changeFormat = "%i %n//%L";

const deleting = "*deleting   ";
const markLength = deleting.length;
const item = /^[<>ch.][fdLDS][.+cstpoguaxnb?]{9} $/;

/** Reads a line of `changeFormat`; null for any other. */
export function parseChange(line: string): Change | null {
  const end = line.indexOf("//", markLength);
  if (end === -1) return null;
  const mark = line.slice(0, markLength);
  const path = line.slice(markLength, end);
  if (mark === deleting) return { kind: "deleted", path };
  if (!item.test(mark)) return null;
  // A symlink's target follows as " -> ", a hard link's leader as " => ".
  const leader = line.startsWith(" => ", end + 2) ? line.slice(end + 6) : null;
  const created = mark[2] === "+";
  return { kind: "changed", path, directory: mark[1] === "d", created, leader };
}

/** The line as people read it. */
export const readable = (line: string) => line.replace("//", "");

/** The path's bytes, each as one character (latin1). */
export const unescapePath = (path: string) =>
  path.replaceAll(/\\#([0-7]{3})/g, (_, digits: string) =>
    String.fromCodePoint(Number.parseInt(digits, 8)),
  );

/** The inverse: a path as rsync writes it. */
export const escapePath = (path: string) =>
  path.replaceAll(
    /\\(?=#[0-9]{3})|[^\t\u0020-\u007e]/g,
    (character) => `\\#${character.codePointAt(0)!.toString(8).padStart(3, "0")}`,
  );

/** The line of a file that came to be, or was replaced. */
export const createdLine = (path: string) => `>f+++++++++ ${path}//`;

/** The line of a deletion. */
export const deletionLine = (path: string) => `${deleting}${path}//`;
