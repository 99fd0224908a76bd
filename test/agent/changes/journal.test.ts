import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { listsDirectory, openJournal } from "../../../agent/changes/journal.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";

/** A master's journals: each call is one attempt that changes `lines`, and what it publishes. */
async function makeMaster() {
  const stateDir = await temporaryDirectory();
  const certain: boolean[] = [];
  const attempt = async (
    generation: number,
    lines: string[],
    {
      place = "here",
      end = "clean",
    }: { place?: string; end?: "clean" | "unclean" | "killed" } = {},
  ) => {
    const journal = await openJournal({ stateDir, project: "debian", generation, place });
    await journal.begin();
    for (const line of lines) journal.add({ below: "", line });
    if (end !== "killed") await journal.end({ clean: end === "clean" });
    const { changeList, uncertain } = await journal.publish();
    await journal.close();
    certain.push(!uncertain);
    return changeList;
  };
  const read = (generation: number) =>
    readFile(join(listsDirectory(stateDir), "debian", String(generation)), "utf8");
  return { stateDir, attempt, read, certain };
}

test("the first generation has no list: what the tree was before nobody knows", async () => {
  const { attempt } = await makeMaster();
  expect(await attempt(1, ["a"])).toBeNull();
  expect(await attempt(2, ["b"])).toMatchObject({ generation: 2, entries: 1 });
});

test("what several attempts changed stands in one list, in order", async () => {
  const { attempt, read } = await makeMaster();
  await attempt(1, []);
  await attempt(2, ["one", "two"]);
  expect(await attempt(2, ["three"])).toMatchObject({ generation: 2, entries: 3 });
  expect(await read(2)).toBe("\tone\n\ttwo\n\tthree\n");
});

test.each(["killed", "unclean"] as const)(
  "an attempt that was %s leaves no list for its generation, and one for the next",
  async (end) => {
    const { attempt } = await makeMaster();
    await attempt(1, []);
    await attempt(2, ["one"], { end });
    expect(await attempt(2, ["two"])).toBeNull();
    expect(await attempt(3, ["three"])).toMatchObject({ generation: 3, entries: 1 });
  },
);

test("a generation that changed nothing has no list", async () => {
  const { attempt } = await makeMaster();
  await attempt(1, []);
  expect(await attempt(2, [])).toBeNull();
});

test("a tree at another place, or of another time, has no list for its next generation", async () => {
  const { attempt, stateDir } = await makeMaster();
  await attempt(1, []);
  expect(await attempt(2, ["moved"], { place: "there" })).toBeNull();
  expect(await attempt(3, ["three"], { place: "there" })).toMatchObject({ generation: 3 });
  // Restored: the control plane is further than the master, or not as far.
  expect(await attempt(9, ["nine"], { place: "there" })).toBeNull();
  expect(await attempt(4, ["four"], { place: "there" })).toBeNull();
  await expect(stat(join(listsDirectory(stateDir), "debian/9"))).rejects.toThrow("ENOENT");
});

test("where the number does not follow on, a pull that changes nothing leaves it uncertain, once", async () => {
  const { attempt, certain } = await makeMaster();
  await attempt(1, []);
  await attempt(2, ["two"]);
  await attempt(3, ["three"]);
  // The control plane was restored: it knows of one generation only.
  expect(await attempt(2, [])).toBeNull();
  await attempt(3, []);
  expect(certain).toEqual([false, true, true, false, true]);
});

test("a list of a time that was rolled back is continued, and published again", async () => {
  const { attempt, read } = await makeMaster();
  await attempt(1, []);
  await attempt(2, ["before"]);
  expect(await attempt(2, ["after"])).toMatchObject({ generation: 2, entries: 2 });
  expect(await read(2)).toBe("\tbefore\n\tafter\n");
});

test("old lists are removed", async () => {
  const { attempt, stateDir } = await makeMaster();
  const directory = join(listsDirectory(stateDir), "debian");
  await attempt(1, []);
  for (let generation = 2; generation < 103; generation++)
    await writeFile(join(directory, String(generation)), "");
  await attempt(103, ["last"]);
  await expect(stat(join(directory, "3"))).rejects.toThrow("ENOENT");
  await stat(join(directory, "4"));
});
