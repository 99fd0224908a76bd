import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { version } from "../../protocol/version.ts";

test("the programs tell the version of the package", async () => {
  const text = await readFile(new URL("../../package.json", import.meta.url), "utf8");
  expect(version).toBe(JSON.parse(text).version);
});
