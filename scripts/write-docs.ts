import { writeFile } from "node:fs/promises";
import { apiPage } from "./api-page.ts";
import { cliPage } from "./cli-page.ts";

const page = (name: string) => new URL(`../docs/${name}`, import.meta.url);

await writeFile(page("api.md"), apiPage());
await writeFile(page("cli.md"), cliPage());
