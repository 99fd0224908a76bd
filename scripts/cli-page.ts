import type { Command } from "commander";
import { createProgram } from "../cli/program.ts";

function pageOf(command: Command, parents: string[]): string[] {
  const names = [...parents, command.name()];
  const visible = command.commands.filter(
    (each) => !each.name().startsWith("_") && each.name() !== "help",
  );
  // A terminal's width must not decide what the page holds.
  command.configureHelp({ helpWidth: 100, showGlobalOptions: true });
  let help = "";
  command.configureOutput({
    writeOut: (text) => {
      help += text;
    },
    getOutHelpWidth: () => 100,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  const heading = `## ${names.join(" ")}`;
  return [
    [heading, "", "```", help.trimEnd(), "```", ""].join("\n"),
    ...visible.flatMap((each) => pageOf(each, names)),
  ];
}

/** `docs/cli.md`, made of the command line's own help. */
export function cliPage(): string {
  return `# Command line

Made from the code by \`npm run docs\`.

${pageOf(createProgram(), []).join("\n")}`;
}
