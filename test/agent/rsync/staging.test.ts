import { mkdir, readdir, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { removeStaging } from "../../../agent/rsync/staging.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";

test("what a killed rsync staged goes, and the directories keep the times that the source gave them", async () => {
  const destination = await temporaryDirectory();
  const pool = join(destination, "pool");
  await mkdir(join(pool, ".~tmp~"), { recursive: true });
  await writeFile(join(pool, ".~tmp~", "half"), "half");
  await writeFile(join(pool, "whole"), "whole");
  await utimes(pool, 1_000_000_000, 1_000_000_000);
  await removeStaging({ destination });
  expect(await readdir(pool)).toEqual(["whole"]);
  expect((await stat(pool)).mtimeMs).toBe(1_000_000_000_000);
});
