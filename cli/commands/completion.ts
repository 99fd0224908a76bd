import { type Command, InvalidArgumentError } from "commander";

/** Words that may follow: subcommands, or options once a dash is typed. */
function candidates(program: Command, words: string[]): string[] {
  const last = words.at(-1) ?? "";
  const command = words
    .slice(0, -1)
    .reduce<Command>(
      (current, word) => current.commands.find((each) => each.name() === word) ?? current,
      program,
    );
  const options = [...command.options, ...program.options].flatMap(({ long }) => long ?? []);
  const names = command.commands.map((each) => each.name()).filter((name) => !name.startsWith("_"));
  const all = last.startsWith("-") ? [...new Set([...options, "--help"])] : names;
  return all.filter((word) => word.startsWith(last));
}

/** Scripts for each shell, which ask the program itself for what may follow. */
export const completionScripts: Record<string, string> = {
  bash: `_mirrorfleet() {
  COMPREPLY=($(mirrorfleet __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _mirrorfleet mirrorfleet`,
  zsh: `#compdef mirrorfleet
_mirrorfleet() {
  compadd -- \${(f)"$(mirrorfleet __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)"}
}
compdef _mirrorfleet mirrorfleet`,
  fish: `complete -c mirrorfleet -f -a '(mirrorfleet __complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'`,
};

function scriptOf(shell: string): string {
  const script = completionScripts[shell];
  if (script === undefined) throw new InvalidArgumentError("must be bash, zsh or fish");
  return script;
}

/** `completion`, and the hidden command that its scripts call. */
export function addCompletion(program: Command): void {
  program
    .command("completion")
    .description("print a completion script: source <(mirrorfleet completion bash)")
    .argument("<shell>", "bash, zsh or fish", scriptOf)
    .action((script: string) => {
      process.stdout.write(`${script}\n`);
    });
  program
    .command("__complete", { hidden: true })
    .argument("[words...]")
    .action((words: string[]) => {
      process.stdout.write(
        candidates(program, words)
          .map((word) => `${word}\n`)
          .join(""),
      );
    });
}
