import {
  appendFile,
  chmod,
  link,
  lstat,
  mkdir,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { dirname } from "node:path";
import fc from "fast-check";

// Bytes, as latin1: a line break, a backslash that looks like rsync's own, what is not UTF-8, a dash, two cases.
const names = ["a", "A", "b", "c d", "x\ny", "q\\#012", "-rf", "\xff\xfe", "é".repeat(20)];
const path = fc
  .array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join("/"));
const two = { path, to: path };
// Some are large enough for a connection to break in them.
const size = fc.oneof(fc.nat(40), fc.constant(3000));

/** One change of a tree. */
export const mutation = fc.oneof(
  fc.record({ kind: fc.constant("write"), path, size }),
  fc.record({ kind: fc.constant("append"), path }),
  fc.record({ kind: fc.constant("mkdir"), path }),
  fc.record({ kind: fc.constant("remove"), path }),
  fc.record({ kind: fc.constant("link"), ...two }),
  fc.record({ kind: fc.constant("symlink"), path, to: fc.constantFrom("a", "../b", "/etc", "no") }),
  fc.record({ kind: fc.constant("rename"), ...two }),
  fc.record({ kind: fc.constant("chmod"), path, mode: fc.constantFrom(0o600, 0o755, 0o2775) }),
  fc.record({ kind: fc.constant("touch"), path }),
);
type Mutation = {
  kind: string;
  path: string;
  to?: string;
  size?: number;
  mode?: number;
};

const expected = new Set(["ENOENT", "ENOTDIR", "EEXIST", "EINVAL", "ENOTEMPTY", "EISDIR", "ELOOP"]);

const doing: Record<
  string,
  (input: { at: Buffer; to: Buffer; size: number; mode: number; seconds: number }) => Promise<void>
> = {
  write: async ({ at, size, seconds }) => {
    if ((await lstat(at).catch(() => null))?.isDirectory()) return;
    await rm(at, { force: true });
    await writeFile(at, "w".repeat(size) + seconds);
  },
  append: async ({ at, seconds }) => {
    if ((await lstat(at)).isFile()) await appendFile(at, String(seconds));
  },
  mkdir: async ({ at }) => {
    if (!(await lstat(at).catch(() => null))?.isDirectory()) await rm(at, { force: true });
    await mkdir(at, { recursive: true });
  },
  remove: ({ at }) => rm(at, { recursive: true, force: true }),
  link: async ({ at, to }) => {
    if ((await lstat(at)).isFile()) await link(at, to);
  },
  rename: async ({ at, to }) => {
    if (!(await lstat(to).catch(() => null))) await rename(at, to);
  },
  chmod: async ({ at, mode }) => {
    const stats = await lstat(at);
    if (!stats.isSymbolicLink()) await chmod(at, stats.isDirectory() ? mode | 0o700 : mode);
  },
  touch: async () => {},
};

/** Makes a change in the tree at `root`; one that makes no sense there does nothing. Each has a second of its own. */
export async function mutate(
  { root, seconds }: { root: string; seconds: number },
  { kind, path: relative, to: other = "a", size = 0, mode = 0o644 }: Mutation,
): Promise<void> {
  const bytes = (below: string) => Buffer.from(`${root}/${below}`, "latin1");
  const [at, to] = [bytes(relative), bytes(other)];
  const parentOf = (file: Buffer) => Buffer.from(dirname(file.toString("latin1")), "latin1");
  try {
    if (kind === "symlink") {
      await mkdir(parentOf(at), { recursive: true });
      await symlink(other, at);
      return;
    }
    if (kind === "write") await mkdir(parentOf(at), { recursive: true });
    if (kind === "link" || kind === "rename") await mkdir(parentOf(to), { recursive: true });
    await doing[kind]!({ at, to, size, mode, seconds });
    if (!(await lstat(at)).isSymbolicLink()) await utimes(at, seconds, seconds);
  } catch (error) {
    if (!expected.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}
