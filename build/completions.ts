import type { Command } from "commander";
import { createProgram as createAgent } from "../agent/program.ts";
import { completionScripts as cliScripts } from "../cli/commands/completion.ts";
import { createProgram as createControlPlane } from "../control-plane/program.ts";

const never = async () => undefined;

/** Where each shell looks for the completions of packages, as Debian has it. */
const places = {
  bash: (command: string) => `usr/share/bash-completion/completions/${command}`,
  zsh: (command: string) => `usr/share/zsh/vendor-completions/_${command}`,
  fish: (command: string) => `usr/share/fish/vendor_completions.d/${command}.fish`,
};
type Shell = keyof typeof places;

/** All commands and options of a program; its few commands need no more. */
function wordsOf(program: Command): string[] {
  const options = program.options.flatMap(({ long }) => long ?? []);
  return [
    ...program.commands.flatMap((each) => [each.name(), ...wordsOf(each)]),
    ...options,
    "--help",
  ];
}

function scriptsOf(program: Command): Record<Shell, string> {
  const command = program.name();
  const words = [...new Set(wordsOf(program))].filter((word) => !word.startsWith("_")).join(" ");
  return {
    bash: `complete -o default -W '${words}' ${command}`,
    zsh: `#compdef ${command}\ncompadd -- ${words}`,
    fish: `complete -c ${command} -a '${words}'`,
  };
}

/** The completion scripts of the three commands, with the paths in a package. */
export function completionFiles(command: string): { path: string; script: string }[] {
  const programs = [
    createAgent(),
    createControlPlane({ serve: never, rotateKeys: never, migrate: never, doctor: never }),
  ];
  const program = programs.find((each) => each.name() === command);
  const scripts = program ? scriptsOf(program) : cliScripts;
  return (Object.keys(places) as Shell[]).map((shell) => ({
    path: places[shell](command),
    script: `${scripts[shell]}\n`,
  }));
}
