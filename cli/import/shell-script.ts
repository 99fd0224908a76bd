import {
  type Assignment,
  type Command,
  type CommandNode,
  parse,
  type Script,
  type Statement,
} from "unbash";
import { oneWord, unknown, type Variables, wordsOf } from "./shell-words.ts";

/** A program that a script would start: its words, and where. */
export type Started = { argv: string[]; directory: string | undefined };

type Walk = {
  variables: Variables;
  functions: Map<string, CommandNode | Script>;
  started: Started[];
  directory: string | undefined;
  /** Within something that need not run: what it sets is not known afterwards. */
  conditional: boolean;
  depth: number;
};

/** Calls within calls that are followed. */
const maxDepth = 8;

function assign(walk: Walk, { name, value, append }: Assignment): void {
  const { variables, conditional } = walk;
  if (value.type === "ArrayValue") {
    const words = value.elements.flatMap((word) => wordsOf(word, variables));
    const before = append ? variables.get(name) : [];
    variables.set(name, conditional || !Array.isArray(before) ? unknown : [...before, ...words]);
    return;
  }
  const text = oneWord(value, variables);
  const before = variables.get(name);
  const whole = append ? (typeof before === "string" ? before + text : unknown + text) : text;
  variables.set(name, conditional && before !== whole ? unknown : whole);
}

function command(walk: Walk, node: Command): void {
  const { variables } = walk;
  const prefixes = node.prefix.filter((each) => each.type === "Assignment");
  if (node.name === undefined) {
    for (const each of prefixes) assign(walk, each);
    return;
  }
  const argv = [
    ...wordsOf(node.name, variables),
    ...node.args.flatMap((each) =>
      each.type === "Assignment" ? [each.text] : wordsOf(each, variables),
    ),
  ];
  const [name = ""] = argv;
  if (["export", "readonly", "local", "declare", "typeset"].includes(name)) {
    for (const each of node.args) if (each.type === "Assignment") assign(walk, each);
    return;
  }
  if (name === "cd") {
    walk.directory = argv[1]?.startsWith("/") && !argv[1].includes(unknown) ? argv[1] : undefined;
    return;
  }
  const body = walk.functions.get(name);
  if (body && walk.depth < maxDepth) {
    const positional = variables.get("@");
    variables.set("@", argv.slice(1));
    visit({ ...walk, depth: walk.depth + 1 }, body);
    if (positional === undefined) variables.delete("@");
    else variables.set("@", positional);
    return;
  }
  walk.started.push({ argv, directory: walk.directory });
}

function list(walk: Walk, statements: readonly Statement[]): void {
  for (const { command: node } of statements) visit(walk, node);
}

/** What may run, or not, or several times. */
const maybe = (walk: Walk, statements: readonly Statement[]) =>
  list({ ...walk, conditional: true }, statements);

function visit(walk: Walk, node: Statement["command"] | CommandNode | Script): void {
  switch (node.type) {
    case "Command":
      return command(walk, node);
    case "Script":
    case "AndOr":
    case "Pipeline":
      // After "&&" and "||" a program runs or not, but an rsync there is meant.
      for (const each of node.commands)
        visit(walk, each.type === "Statement" ? each.command : each);
      return;
    case "Redirected":
      return visit(walk, node.command);
    case "Subshell":
    case "BraceGroup":
      return list(walk, node.body.commands);
    case "If":
      maybe(walk, node.clause.commands);
      for (const { then } of [node, ...node.elif]) maybe(walk, then.commands);
      return maybe(walk, node.else?.commands ?? []);
    case "While":
      maybe(walk, node.clause.commands);
      return maybe(walk, node.body.commands);
    case "Case":
      for (const { body } of node.items) maybe(walk, body.commands);
      return;
    case "For":
      return loop(walk, node);
    case "Function":
      if (node.body.type !== "CompoundList") walk.functions.set(node.name.value, node.body);
      return;
    default:
      return;
  }
}

function loop(walk: Walk, node: Extract<CommandNode, { type: "For" }>): void {
  const words = node.wordlist?.flatMap((word) => wordsOf(word, walk.variables)) ?? [unknown];
  for (const word of words.slice(0, 1000)) {
    walk.variables.set(node.name.value, word);
    list(walk, node.body.commands);
  }
}

/**
 * What a shell script would start, in order, without running anything. Loops over known words and calls of
 * the script's own functions are followed; what only a run would tell is `unknown` within the words.
 */
export function readScript(
  text: string,
  { variables = new Map() }: { variables?: Variables } = {},
): { started: Started[]; variables: Variables; errors: string[] } {
  const script = parse(text);
  const walk: Walk = {
    variables,
    functions: new Map(),
    started: [],
    directory: undefined,
    conditional: false,
    depth: 0,
  };
  visit(walk, script);
  return {
    started: walk.started,
    variables,
    errors: (script.errors ?? []).map(({ message }) => message),
  };
}
