import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { emptyOut } from "../../build/out.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

test("a build empties the directory that an earlier build made", async () => {
  const out = join(await temporaryDirectory(), "dist", "deeper");
  await emptyOut({ root: "/nowhere", out });
  const made = await readdir(out);
  await writeFile(join(out, "old.deb"), "");
  await mkdir(join(out, "npm", "agent"), { recursive: true });
  await emptyOut({ root: "/nowhere", out });
  expect(await readdir(out)).toEqual(made);
});

test("a directory with files of somebody's is refused, and left as it is", async () => {
  const home = await temporaryDirectory();
  await writeFile(join(home, "thesis"), "");
  await expect(emptyOut({ root: "/nowhere", out: home })).rejects.toThrow(
    `${home} is not empty, and no build made it`,
  );
  expect(await readdir(home)).toEqual(["thesis"]);
});

test("what links in it lead to stays", async () => {
  const out = await temporaryDirectory();
  const elsewhere = await temporaryDirectory();
  await writeFile(join(elsewhere, "file"), "");
  await emptyOut({ root: "/nowhere", out });
  await symlink(elsewhere, join(out, "link"));
  await emptyOut({ root: "/nowhere", out });
  expect(await readdir(elsewhere)).toEqual(["file"]);
});

test("a checkout's own dist is for builds, whatever is in it", async () => {
  const root = await temporaryDirectory();
  const out = join(root, "dist");
  await mkdir(join(out, "worker"), { recursive: true });
  await emptyOut({ root, out });
  expect(await readdir(out)).not.toContain("worker");
});
