import { expect, test } from "vitest";
import { foldSorted, recordsOf } from "../../../agent/changes/fold.ts";
import { parseChange } from "../../../agent/rsync/itemize.ts";

/** What a host asks for after these lines of rsync's output. */
async function fold(lines: string[], isIndex: (path: string) => boolean = () => false) {
  const records = lines.flatMap((line, sequence) => recordsOf(parseChange(line)!, { sequence }));
  const wanted: Record<string, string[]> = {};
  async function* sorted() {
    yield* records.toSorted();
  }
  for await (const { list, path } of foldSorted(sorted(), { isIndex }))
    (wanted[list] ??= []).push(path);
  return wanted;
}

test("a changed file is asked for with the directories above it", async () => {
  expect(await fold([">f.st...... pool/a/file//"])).toEqual({
    payload: [".", "pool", "pool/a", "pool/a/file"],
  });
});

test("a path that was deleted and came again is asked for, and one that came and was deleted is taken away", async () => {
  expect(await fold(["*deleting   one//", ">f+++++++++ one//"])).toEqual({ payload: [".", "one"] });
  expect(await fold([">f+++++++++ one//", "*deleting   one//"])).toEqual({
    deleted: ["one"],
    payload: ["."],
  });
});

test("of a deleted directory each entry is named, and the directories above get their times", async () => {
  expect(
    await fold(["*deleting   a/b/file//", "*deleting   a/b///", "*deleting   a/b c//"]),
  ).toEqual({
    deleted: ["a/b", "a/b/file", "a/b c"],
    payload: [".", "a"],
  });
});

test("nothing is asked for below a path that has become a file", async () => {
  expect(
    await fold([
      "cd+++++++++ a///",
      ">f+++++++++ a/file//",
      "*deleting   a/file//",
      "*deleting   a///",
      ">f+++++++++ a//",
    ]),
  ).toEqual({ payload: [".", "a"], replaced: ["a/file"] });
});

test("the leader of a hard link is asked for, too, unless it was deleted", async () => {
  expect(await fold(["hf+++++++++ b/link// => a/leader"])).toEqual({
    payload: [".", "a", "a/leader", "b", "b/link"],
  });
  expect(await fold(["hf+++++++++ link// => leader", "*deleting   leader//"])).toMatchObject({
    payload: [".", "link"],
    deleted: ["leader"],
  });
});

test("an index comes apart from the rest, with the directories above it", async () => {
  expect(
    await fold(
      [">f+++++++++ dists/Release//", ">f+++++++++ pool/a.deb//"],
      (path) => path === "dists/Release",
    ),
  ).toEqual({ indexes: [".", "dists", "dists/Release"], payload: [".", "pool", "pool/a.deb"] });
});
