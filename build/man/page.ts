import type { Command } from "commander";
import { bold, definitions, escape, section, subsection, title } from "./roff.ts";

/** What a page says that the program's help does not. */
export type Page = {
  program: Command;
  section: 1 | 8;
  environment: Record<string, string>;
  exitStatus: Record<number, string>;
  files: Record<string, string>;
  seeAlso: string[];
};

const isShown = (command: Command) => !command.name().startsWith("_") && command.name() !== "help";

const firstCapital = (text: string) => text.replace(/^./, (letter) => letter.toUpperCase());

function optionsOf(command: Command): string[] {
  const helper = command.createHelp();
  return definitions(
    helper
      .visibleOptions(command)
      .map((option) => [bold(helper.optionTerm(option)), helper.optionDescription(option)]),
  );
}

function argumentsOf(command: Command): string[] {
  const helper = command.createHelp();
  return definitions(
    helper
      .visibleArguments(command)
      .map((each) => [bold(helper.argumentTerm(each)), helper.argumentDescription(each)]),
  );
}

/** A command and those below it. */
function commandOf(command: Command): string[] {
  const below = command.commands.filter(isShown);
  const own =
    below.length > 0
      ? []
      : [
          subsection(command.createHelp().commandUsage(command)),
          `${escape(firstCapital(command.description()))}.`,
          ...argumentsOf(command),
          ...optionsOf(command),
        ];
  return [...own, ...below.flatMap(commandOf)];
}

const namedBold = (entries: Record<string, string>): [string, string][] =>
  Object.entries(entries).map(([name, meaning]) => [bold(name), meaning]);

function optionalSection(name: string, entries: Record<string, string>): string[] {
  return Object.keys(entries).length === 0
    ? []
    : [section(name), ...definitions(namedBold(entries))];
}

/** A man page, made of the command line itself. `date` is a day, such as 2026-11-26. */
export function manPage(page: Page, { version, date }: { version: string; date: string }): string {
  const { program } = page;
  const name = program.name();
  const [summary] = program.description().split(/[.,:] /);
  return [
    title({ name, section: page.section, date, version }),
    // Left-aligned, and no name of a setting or command in two parts.
    ".ad l",
    ".nh",
    section("NAME"),
    `${escape(name)} \\- ${escape(summary!.replace(/\.$/, "").replace(/^./, (letter) => letter.toLowerCase()))}`,
    section("SYNOPSIS"),
    `${bold(name)} [\\fIoptions\\fR] [\\fIcommand\\fR]`,
    section("DESCRIPTION"),
    escape(program.description()),
    section("OPTIONS"),
    ...optionsOf(program),
    section("COMMANDS"),
    ...program.commands.filter(isShown).flatMap(commandOf),
    ...optionalSection("ENVIRONMENT", page.environment),
    ...optionalSection(
      "EXIT STATUS",
      Object.fromEntries(Object.entries(page.exitStatus).map(([status, text]) => [status, text])),
    ),
    ...optionalSection("FILES", page.files),
    section("SEE ALSO"),
    page.seeAlso.map(bold).join(", "),
    "",
  ].join("\n");
}
