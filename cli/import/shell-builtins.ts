import type { Assignment, Command, CommandNode, Script, Statement } from "unbash";
import { forget, namesSetBy, type State } from "./shell-state.ts";
import { oneWord, unknown, type Variables, wordsOf } from "./shell-words.ts";

export type Node = Statement["command"] | CommandNode | Script;

/** A program that a script would start: its words, where, and what it finds in its environment. */
export type Started = {
  argv: string[];
  directory: string | undefined;
  environment: Variables;
  /** The way of a condition that it stands in; others of the same way run whenever it does. */
  way: object | null;
  /** Line of the script, from 1. */
  line: number;
};

/** A walk through a script. */
export type Walk = State & {
  functions: Map<string, Node>;
  started: Started[];
  /** Variables that programs get. */
  exported: Set<string>;
  /** What the function's own variables hide; null: it is in none. */
  hidden: Map<string, string | string[] | undefined> | null;
  /** States at `return`, and at `break` and `continue`. */
  returns: State[];
  breaks: State[];
  way: object | null;
  /** Functions that are being called. */
  calling: readonly Node[];
  /** Line of a position in what is being read. */
  lineOf: (position: number) => number;
  /** What `eval` runs that only a run would tell, by line. */
  unread: Map<number, string>;
  /** How many `eval` are within each other. */
  evals: number;
};

/** A way that may be gone, or another process: what it sets is its own. */
export const fork = (walk: Walk): Walk => ({ ...walk, variables: new Map(walk.variables) });

export function assign({ variables }: State, { name, value, append, index }: Assignment): void {
  const before = variables.get(name);
  if (index !== undefined) {
    variables.set(name, unknown);
  } else if (value.type === "ArrayValue") {
    const words = value.elements.flatMap((word) => wordsOf(word, variables));
    const first = append ? before : [];
    variables.set(name, Array.isArray(first) ? [...first, ...words] : unknown);
  } else {
    const text = oneWord(value, variables);
    const first = append ? (typeof before === "string" ? before : unknown) : "";
    variables.set(name, first + text);
  }
}

/** Keeps what a variable of the function alone hides, for the time after it. */
export function hide({ hidden, variables }: Walk, name: string): void {
  if (hidden && !hidden.has(name)) hidden.set(name, variables.get(name));
}

/** `export`, `local` and their like. */
function declaration(walk: Walk, { args }: Command, builtin: string): void {
  const own = ["local", "declare", "typeset"].includes(builtin) && walk.hidden !== null;
  for (const each of args) {
    const name = each.type === "Assignment" ? each.name : each.value;
    if (!/^\w+$/.test(name)) continue;
    if (builtin === "export") walk.exported.add(name);
    if (own) hide(walk, name);
    if (each.type === "Assignment") assign(walk, each);
    else if (own) walk.variables.set(name, unknown);
  }
}

/** Words that are not known may be none, or several: then it is not known which is the first, the second … */
export const positional = (words: string[]) =>
  words.some((word) => word.includes(unknown)) ? unknown : words;

/** Does what a builtin does to the state; answers whether it was one. */
export function builtin(walk: Walk, argv: string[], node: Command): boolean {
  const [name = "", first] = argv;
  const { variables } = walk;
  const named = namesSetBy(argv);
  if (named) for (const each of named) variables.set(each, unknown);
  else if (["export", "readonly", "local", "declare", "typeset"].includes(name))
    declaration(walk, node, name);
  else if (["cd", "pushd", "popd"].includes(name))
    walk.directory = first?.startsWith("/") && !first.includes(unknown) ? first : undefined;
  else if ([".", "source"].includes(name)) forget(walk);
  else if (name === "return") walk.returns.push(fork(walk));
  else if (name === "break" || name === "continue") walk.breaks.push(fork(walk));
  else if (name === "shift") {
    const words = variables.get("@");
    const by = Number(first ?? 1);
    variables.set("@", Array.isArray(words) && by >= 0 ? words.slice(by) : unknown);
  } else if (name === "set" && argv.some((word) => word === "--" || !/^[-+]/.test(word))) {
    const from = argv.indexOf("--");
    variables.set("@", from > 0 ? positional(argv.slice(from + 1)) : unknown);
  } else return false;
  return true;
}
