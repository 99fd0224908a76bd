import { forEachChild, type ParsedScript, type SyntaxNode } from "unbash";

/** What is run when a command is, and not when its words are made. */
const commands = new Set<SyntaxNode["type"]>([
  "Script",
  "Statement",
  "CompoundList",
  "Command",
  "Pipeline",
  "AndOr",
  "Redirected",
  "If",
  "Elif",
  "For",
  "ArithmeticFor",
  "Select",
  "While",
  "Subshell",
  "BraceGroup",
  "Case",
  "TestCommand",
  "ArithmeticCommand",
  "Function",
  "Coproc",
]);

/** `$(…)`, backquotes or `<(…)`: a script within a word, and where it begins. */
export type Expansion = { script: ParsedScript; pos: number };

/**
 * The scripts that the shell runs to make a command's own words, redirections and values, in order: `certain`
 * those that run whenever the command does, `possible` those of `${x:-$(…)}` and after `&&` within `[[ … ]]`.
 */
export function expansionsOf(node: SyntaxNode): { certain: Expansion[]; possible: Expansion[] } {
  const certain: Expansion[] = [];
  const possible: Expansion[] = [];
  const look = (child: SyntaxNode, into: Expansion[]) => {
    if (commands.has(child.type)) return;
    if (
      child.type === "CommandExpansion" ||
      child.type === "ProcessSubstitution" ||
      child.type === "ArithmeticCommandExpansion"
    ) {
      if (child.script) into.push({ script: child.script, pos: child.pos });
      return;
    }
    const sure = child.type !== "Default" && child.type !== "TestLogical";
    forEachChild(child, (each) => look(each, sure ? into : possible));
  };
  forEachChild(node, (child) => look(child, certain));
  return { certain, possible };
}
