import type { Command } from "commander";
import { createProgram as createAgent } from "../agent/program.ts";
import { createProgram } from "../cli/program.ts";
import { createProgram as createControlPlane } from "../control-plane/program.ts";

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

const nothing = () => Promise.resolve();

/** `docs/cli.md`, made of the three programs' own help. */
export function cliPage(): string {
  const services = { serve: nothing, rotateKeys: nothing, migrate: nothing, doctor: nothing };
  const programs = [createProgram(), createAgent(), createControlPlane(services)];
  return `# Command lines

Made from the code by \`npm run docs\`.

\`mirrorfleet\` is the operator's; \`mirrorfleet-agent\` and \`mirrorfleet-control-plane\`, below, are the services', with their settings.

${programs.flatMap((program) => pageOf(program, [])).join("\n")}`;
}
