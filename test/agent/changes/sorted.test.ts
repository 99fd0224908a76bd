import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sorted } from "../../../agent/changes/sorted.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";

/** So many different texts, some of which have bytes that are no ASCII. */
const textsOf = (count: number) =>
  Array.from(
    { length: count },
    (_, index) => `${(index * 7919) % count}/${index % 3 === 0 ? "\u00fc" : "B"}${"x".repeat(60)}`,
  );

async function all(texts: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = [];
  for await (const text of texts) found.push(text);
  return found;
}

const bytewise = (left: string, right: string) =>
  Buffer.compare(Buffer.from(left, "latin1"), Buffer.from(right, "latin1"));

test.each([
  ["few", 1000],
  ["more than are sorted in memory", 50_000],
])("%s texts come sorted by their bytes, and the other way round", async (_, count) => {
  const directory = await temporaryDirectory();
  const texts = textsOf(count);
  const expected = texts.toSorted(bytewise);
  const bytes = Buffer.from(texts.map((each) => `${each}\0`).join(""), "latin1");
  const portions = async function* () {
    for (let at = 0; at < bytes.length; at += 50_000) yield bytes.subarray(at, at + 50_000);
  };
  const inText = async function* () {
    for await (const portion of portions()) yield portion.toString("latin1");
  };
  expect(await all(sorted(portions(), { directory }))).toEqual(expected);
  expect(await all(sorted(inText(), { directory }))).toEqual(expected);
  expect(await all(sorted(portions(), { directory, reverse: true }))).toEqual(
    expected.toReversed(),
  );
});

test("what goes wrong while it is read goes wrong for who sorts, whether much was read or little", async () => {
  const directory = join(await temporaryDirectory(), "spill");
  await mkdir(directory);
  for (const portions of [1, 200]) {
    const failing = async function* () {
      for (let index = 0; index < portions; index++) yield `${"x".repeat(10_000)}\0`;
      throw new Error("the disk is gone");
    };
    await expect(all(sorted(failing(), { directory }))).rejects.toThrow("the disk is gone");
  }
});
