import type { Command } from "commander";
import { expect, test } from "vitest";
import { manPage } from "../../build/man/page.ts";
import { manPages } from "../../build/man/pages.ts";

const pages = manPages().map((page) => [page.program.name(), page] as const);

/** The commands that do something, with their names from the program's own on. */
function commandsOf(command: Command, parents: string[] = []): string[] {
  const names = [...parents, command.name()];
  const below = command.commands.filter(
    (each) => !each.name().startsWith("_") && each.name() !== "help",
  );
  return below.length === 0 ? [names.join(" ")] : below.flatMap((each) => commandsOf(each, names));
}

test.each(pages)("the man page of %s names every command and option", (_, page) => {
  const text = manPage(page, { version: "1.2.3", date: "2026-11-26" }).replaceAll("\\-", "-");
  const commands = commandsOf(page.program);
  expect(commands.length).toBeGreaterThan(1);
  for (const command of commands) expect(text).toContain(`.SS "${command}`);
  for (const { long } of page.program.options) expect(text).toContain(long!);
  for (const name of Object.keys(page.environment)) expect(text).toContain(name);
});

test("text cannot be taken for requests of roff", () => {
  const [, page] = pages[0]!;
  page.program.description("One.\n.so /etc/passwd\n'sh \\fB");
  const text = manPage(page, { version: "1.2.3", date: "2026-11-26" });
  expect(text).toContain("\\&.so /etc/passwd\n\\&'sh \\efB");
});
