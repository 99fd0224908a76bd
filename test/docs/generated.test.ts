import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { apiPage } from "../../scripts/api-page.ts";
import { cliPage } from "../../scripts/cli-page.ts";

const page = (name: string) => readFile(new URL(`../../docs/${name}`, import.meta.url), "utf8");
const cure = 'is out of date: run "npm run docs"';

test("docs/api.md is what the operations say", async () => {
  expect(await page("api.md"), cure).toBe(apiPage());
});

test("docs/cli.md is what the command line's help says", async () => {
  expect(await page("cli.md"), cure).toBe(cliPage());
});
