import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writePathFiles } from "../../../agent/changes/fetch.ts";
import { ListsUnusable } from "../../../agent/changes/unusable.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";
import { pullOf, syncSpec } from "../../helpers/rsync.ts";

/** Reads one list with these lines. */
async function read(lines: string[]) {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, "7"), lines.map((line) => `${line}\n`).join(""), "latin1");
  const { source, options } = pullOf(syncSpec({ port: 1 }));
  return writePathFiles({ lists: [{ generation: 7, digest: "" }], directory, source, options });
}

test.each([
  "\t*deleting   ../../precious//",
  "\t*deleting   /etc/passwd//",
  "\t*deleting   pool/../../precious//",
  "\t*deleting   pool/\\#056\\#056/precious//",
  "..\t*deleting   precious//",
  "\t*deleting   .//",
  "\t>f+++++++++ ../precious//",
  "\thf+++++++++ link// => ../leader",
  "no change at all",
])("a list with the line %j is none, whoever vouches for it", async (line) => {
  await expect(read(["\t>f+++++++++ good//", line])).rejects.toThrow(ListsUnusable);
});

test("what a list names comes apart by what has to be done, each path once", async () => {
  const files = await read(
    [
      "\t>f+++++++++ pool/new//",
      "epel\t*deleting   old//",
      "\t.d..t...... ./",
      "epel\t.d..t...... .//",
    ].map((line) => (line.endsWith("./") ? `${line}/` : line)),
  );
  expect(files).toMatchObject({ payload: { paths: 3 }, deleted: { paths: 1 }, top: true });
  expect(await readFile(files.deleted.path, "latin1")).toBe("epel/old\0");
});

test.each([
  [["\t>f+++++++++ new//"], true],
  [["\t*deleting   old//"], true],
  [["\tcd+++++++++ new//"], true],
  [["\t.d..t...... .//"], true],
  [["\t.d..t...... pool//", "\t>f+++++++++ pool/new//", "\t*deleting   pool/old//"], false],
])("the list %j alters the tree's top directory: %j", async (lines, top) => {
  const files = await read(lines);
  expect(files.top).toBe(top);
  const asked = await readFile(files.payload.path, "latin1");
  expect(asked.split("\0")).not.toContain(".");
});
