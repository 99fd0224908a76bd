import { chmod, mkdir, readdir, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { removeListed } from "../../../agent/changes/remove.ts";
import { ListsUnusable } from "../../../agent/changes/unusable.ts";
import { newQuarantineEntry } from "../../../agent/quarantine.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";

async function* each(paths: string[]) {
  yield* paths;
}

/** A tree with these files, and a removal of paths from it. */
async function makeTree(files: string[]) {
  const directory = await temporaryDirectory();
  const [root, quarantine] = [join(directory, "tree"), join(directory, "quarantine")];
  for (const file of files) {
    const path = Buffer.from(`${root}/${file}`, "latin1");
    await mkdir(Buffer.from(dirname(path.toString("latin1")), "latin1"), { recursive: true });
    await writeFile(path, file);
  }
  const removed: string[] = [];
  const remove = (
    paths: string[],
    { kept = false, mayBeReplaced = false }: { kept?: boolean; mayBeReplaced?: boolean } = {},
  ) =>
    removeListed({
      root,
      paths: each(paths),
      keep: kept ? newQuarantineEntry({ quarantine, project: "debian", now: new Date() }) : null,
      mayBeReplaced,
      onRemoved: (path) => removed.push(path),
      signal: new AbortController().signal,
    });
  return { directory, root, quarantine, removed, remove };
}

test("what is named goes, a directory after what is in it, and the rest stays", async () => {
  const { root, removed, remove } = await makeTree(["a/b/one", "a/b/two", "a/three", "four"]);
  expect(await remove(["four", "a/b/two", "a/b/one", "a/b"])).toBe(4);
  expect(removed).toEqual(["four", "a/b/two", "a/b/one", "a/b"]);
  expect(await readdir(root, { recursive: true })).toEqual(["a", "a/three"]);
});

test("what has gone already is passed over, so that it can be done again", async () => {
  const { remove } = await makeTree(["a/one"]);
  expect(await remove(["b/c/two", "a/one", "a"])).toBe(2);
  expect(await remove(["b/c/two", "a/one", "a"])).toBe(0);
});

test("the directories that stay keep their mode and their times", async () => {
  const { root, remove } = await makeTree(["a/one", "a/b/two", "a/b/three", "four"]);
  const long = new Date("1969-12-31T23:59:59.250Z");
  const times: Record<string, Date> = {
    "": new Date("2020-02-29T12:00:00.123Z"),
    a: long,
    "a/b": new Date("2001-09-09T01:46:40.999Z"),
  };
  for (const [path, time] of Object.entries(times)) await utimes(join(root, path), time, time);
  await chmod(join(root, "a"), 0o555);
  expect(await remove(["four", "a/one", "a/b/two"])).toBe(3);
  for (const [path, time] of Object.entries(times))
    expect((await stat(join(root, path))).mtime).toEqual(time);
  expect((await stat(join(root, "a"))).mode & 0o777).toBe(0o555);
});

test("the times are kept, too, where it ends half way", async () => {
  const { root, remove } = await makeTree(["a/b/named", "a/b/not-named", "a/b/other"]);
  const time = new Date("2020-02-29T12:00:00Z");
  await utimes(join(root, "a/b"), time, time);
  await expect(remove(["a/b/named", "a/b"])).rejects.toThrow(ListsUnusable);
  expect((await stat(join(root, "a/b"))).mtime).toEqual(time);
});

test("a directory that holds more than was named stays", async () => {
  const { root, remove } = await makeTree(["a/named", "a/not-named"]);
  await expect(remove(["a/named", "a"])).rejects.toThrow(ListsUnusable);
  expect(await readdir(join(root, "a"))).toEqual(["not-named"]);
});

test("nothing goes through a symlink, wherever it leads", async () => {
  const { directory, root, remove } = await makeTree(["a/one"]);
  const elsewhere = join(directory, "elsewhere");
  await mkdir(elsewhere);
  await writeFile(join(elsewhere, "one"), "precious");
  await symlink(elsewhere, join(root, "link"));
  await expect(remove(["link/one"])).rejects.toThrow("is no directory on this host");
  expect(await remove(["link/one"], { mayBeReplaced: true })).toBe(0);
  expect(await readdir(elsewhere)).toEqual(["one"]);
  // The symlink itself is an entry like others.
  expect(await remove(["link"])).toBe(1);
});

test("names of any bytes, and directories that their owner may not write in", async () => {
  const names = ["line\nbreak", "\xff\xfe", "-rf", "back\\slash", " "];
  const { root, remove } = await makeTree(names.map((name) => `a/${name}/file`));
  await chmod(join(root, "a"), 0o555);
  expect(await remove(names.flatMap((name) => [`a/${name}/file`, `a/${name}`]))).toBe(10);
  expect(await readdir(join(root, "a"))).toEqual([]);
});

test("with a quarantine everything that goes is there, as it was", async () => {
  const { root, quarantine, remove } = await makeTree(["a/b/one", "two"]);
  await mkdir(join(root, "a/empty"));
  await chmod(join(root, "a/b"), 0o750);
  const { ino } = await stat(join(root, "a/b/one"));
  expect(await remove(["two", "a/empty", "a/b/one", "a/b", "a"], { kept: true })).toBe(5);
  expect(await readdir(root)).toEqual([]);
  const [entry] = await readdir(join(quarantine, "debian"));
  const kept = join(quarantine, "debian", entry!);
  expect((await readdir(kept, { recursive: true })).toSorted()).toEqual(
    ["a", "a/b", "a/b/one", "a/empty", "two"].toSorted(),
  );
  expect((await stat(join(kept, "a/b/one"))).ino).toBe(ino);
  expect((await stat(join(kept, "a/b"))).mode & 0o777).toBe(0o750);
});
