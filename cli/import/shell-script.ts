import { type Command, type CommandNode, parse, type ParsedScript, type Statement } from "unbash";
import {
  assign,
  builtin,
  fork,
  hide,
  type Node,
  positional,
  type Started,
  type Walk,
} from "./shell-builtins.ts";
import { expansionsOf } from "./shell-expansions.ts";
import { linesOf } from "./lines-of.ts";
import { arithmeticNames, forget, join } from "./shell-state.ts";
import { unknown, type Variables, wordsOf } from "./shell-words.ts";

function call(walk: Walk, body: Node, { argv, node }: { argv: string[]; node: Command }): void {
  const hidden = new Map<string, string | string[] | undefined>();
  const inner: Walk = {
    ...walk,
    hidden,
    returns: [],
    breaks: [],
    calling: [...walk.calling, body],
  };
  hide(inner, "@");
  walk.variables.set("@", positional(argv.slice(1)));
  for (const each of node.prefix) {
    if (each.type !== "Assignment") continue;
    hide(inner, each.name);
    assign(inner, each);
  }
  visit(inner, body);
  join(inner, inner.returns);
  walk.directory = inner.directory;
  for (const [name, value] of hidden) {
    if (value === undefined) walk.variables.delete(name);
    else walk.variables.set(name, value);
  }
}

function command(walk: Walk, node: Command): void {
  const { variables, exported } = walk;
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
  const body = walk.functions.get(argv[0] ?? "");
  // What calls itself is not followed: what it leaves is not known.
  if (body && walk.calling.includes(body)) return forget(walk);
  if (body) return call(walk, body, { argv, node });
  if (argv[0] === "eval") return evaluate(walk, { text: argv.slice(1).join(" "), node });
  if (builtin(walk, argv, node)) return;
  const own = fork(walk);
  for (const each of prefixes) assign(own, each);
  const names = new Set([...exported, ...prefixes.map(({ name }) => name), "*"]);
  const environment = new Map([...own.variables].filter(([name]) => names.has(name)));
  const line = walk.lineOf(node.pos);
  walk.started.push({ argv, directory: walk.directory, environment, way: walk.way, line });
}

/** What is evaluated for other things than to start an rsync. */
const harmless = /^set\b|\b(ssh-agent|keychain|dircolors|getopt)\b/;

/** `eval`: a script in this shell, where its text is known. */
function evaluate(walk: Walk, { text, node }: { text: string; node: Command }): void {
  const line = walk.lineOf(node.pos);
  // A text that evaluates itself has no end.
  const script = text.includes(unknown) || walk.evals > 8 ? null : parse(text);
  if (script && (script.errors ?? []).length === 0) {
    const inner: Walk = { ...walk, lineOf: () => line, evals: walk.evals + 1 };
    visit(inner, script);
    walk.directory = inner.directory;
    return;
  }
  const words = node.args.map((word) => word.text).join(" ");
  if (!harmless.test(words.replace(/^"/, ""))) walk.unread.set(line, `eval ${words}`);
  forget(walk);
}

/** Runs what makes a command's words: each in a shell of its own. */
function expand(walk: Walk, node: Node): void {
  const { certain, possible } = expansionsOf(node);
  const run = (way: Walk, { script, pos }: { script: ParsedScript; pos: number }) => {
    const line = walk.lineOf(pos);
    // Within backquotes positions may be those of another text.
    visit({ ...fork(way), ...(script.source !== undefined && { lineOf: () => line }) }, script);
  };
  for (const each of certain) run(walk, each);
  for (const each of possible) run({ ...walk, way: {} }, each);
}

function list(walk: Walk, statements: readonly Statement[]): void {
  for (const { command: node, background } of statements)
    visit(background ? fork(walk) : walk, node);
}

/** Ways of which one is gone, or none. */
function maybe(walk: Walk, ways: ((way: Walk) => void)[]): void {
  const ends = ways.map((go) => {
    const way = { ...fork(walk), way: {} };
    go(way);
    return way;
  });
  join(walk, ends);
}

/** What may run any number of times: what it changes is not known from the first time on. */
function repeat(walk: Walk, go: (round: Walk) => void): void {
  const round = (started: Started[]) => {
    const each: Walk = { ...fork(walk), started, breaks: [] };
    go(each);
    return join(walk, [each, ...each.breaks]);
  };
  while (round([]));
  round(walk.started);
}

const isTest = (node: Node) =>
  node.type === "TestCommand" ||
  (node.type === "Command" && ["[", "test"].includes(node.name?.value ?? ""));

/** After "&&" and "||" a program runs or not, but an rsync there is meant. */
function andOr(walk: Walk, { commands, operators }: Extract<Node, { type: "AndOr" }>): void {
  const or = operators.indexOf("||");
  const chain = commands.slice(0, or === -1 ? commands.length : or + 1);
  visit(walk, chain[0]!);
  // "first && second" are two passes, where the first is no test.
  let last = isTest(chain[0]!) ? { ...walk, way: {} } : walk;
  const ends = chain.slice(1).map((each) => {
    last = fork(last);
    visit(last, each);
    return last;
  });
  join(walk, ends);
  for (const each of commands.slice(chain.length)) maybe(walk, [(way) => visit(way, each)]);
}

function visit(walk: Walk, node: Node): void {
  if (node.type !== "Script") expand(walk, node);
  switch (node.type) {
    case "Command":
      return command(walk, node);
    case "Script":
      return list(walk, node.commands);
    case "AndOr":
      return andOr(walk, node);
    case "Pipeline":
      for (const each of node.commands) visit(node.commands.length > 1 ? fork(walk) : walk, each);
      return;
    case "Redirected":
      return visit(walk, node.command);
    case "Subshell":
      return list(fork(walk), node.body.commands);
    case "BraceGroup":
      return list(walk, node.body.commands);
    case "If":
      list(walk, node.clause.commands);
      for (const { clause } of node.elif) maybe(walk, [(way) => list(way, clause.commands)]);
      return maybe(
        walk,
        [node.then, ...node.elif.map(({ then }) => then), ...(node.else ? [node.else] : [])].map(
          (body) => (way: Walk) => list(way, body.commands),
        ),
      );
    case "While":
      return repeat(walk, (round) => list(round, [...node.clause.commands, ...node.body.commands]));
    case "Case":
      return maybe(
        walk,
        node.items.map(
          ({ body }) =>
            (way) =>
              list(way, body.commands),
        ),
      );
    case "For":
      return loop(walk, node);
    case "Select":
    case "ArithmeticFor":
      return repeat(walk, (round) => list(round, node.body.commands));
    case "ArithmeticCommand":
      for (const name of arithmeticNames(node.body)) walk.variables.set(name, unknown);
      return;
    case "Coproc":
      if (node.body.type !== "CompoundList") visit(fork(walk), node.body);
      return;
    case "Function":
      if (node.body.type !== "CompoundList") walk.functions.set(node.name.value, node.body);
      return;
    default:
      return;
  }
}

function loop(walk: Walk, node: Extract<CommandNode, { type: "For" }>): void {
  const all = walk.variables.get("@");
  const words =
    node.wordlist?.flatMap((word) => wordsOf(word, walk.variables)) ??
    (Array.isArray(all) ? all : [unknown]);
  const inner: Walk = { ...walk, breaks: [] };
  const body = (each: Walk, word: string) => {
    each.variables.set(node.name.value, word);
    list(each, node.body.commands);
  };
  for (const word of words.slice(0, 1000)) {
    if (words.some((each) => each.includes(unknown))) repeat(inner, (each) => body(each, word));
    else body(inner, word);
    join(inner, inner.breaks);
  }
  walk.directory = inner.directory;
}

/**
 * What a shell script would start, in order, without running anything. `variables`: its environment, and its
 * positional parameters, if they are known. Loops over known words and calls of the script's own functions are
 * followed, conditions are gone both ways, and what stands in `$(…)`, backquotes and `eval` is read as well; what only
 * a run would tell is `unknown` within the words, or, of an `eval`, in `unread`, by line.
 */
export function readScript(
  text: string,
  { variables = new Map() }: { variables?: Variables } = {},
): { started: Started[]; variables: Variables; errors: string[]; unread: Map<number, string> } {
  const script = parse(text);
  const walk: Walk = {
    variables,
    directory: undefined,
    functions: new Map(),
    started: [],
    exported: new Set(variables.keys()),
    hidden: null,
    returns: [],
    breaks: [],
    way: null,
    calling: [],
    lineOf: linesOf(text),
    unread: new Map(),
    evals: 0,
  };
  walk.exported.delete("@");
  visit(walk, script);
  return {
    started: walk.started,
    variables,
    unread: walk.unread,
    errors: (script.errors ?? []).map(({ message }) => message),
  };
}
