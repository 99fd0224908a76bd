import { unknown, type Variables } from "./shell-words.ts";

/** What a script has set so far, as far as that is known without running it. */
export type State = {
  variables: Variables;
  /** Undefined: only known when it runs. */
  directory: string | undefined;
};

const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);

/**
 * After something that need not have run, or ended early: what it may have left otherwise is unknown.
 * Answers whether that is more than before.
 */
export function join(state: State, others: readonly State[]): boolean {
  let changed = false;
  for (const { variables, directory } of others) {
    for (const name of new Set([...variables.keys(), ...state.variables.keys()])) {
      const before = state.variables.get(name);
      if (before === unknown || same(before, variables.get(name))) continue;
      state.variables.set(name, unknown);
      changed = true;
    }
    if (state.directory === undefined || state.directory === directory) continue;
    state.directory = undefined;
    changed = true;
  }
  return changed;
}

/** Something that cannot be read may have set any variable, and gone to any directory. */
export function forget(state: State): void {
  for (const name of [...state.variables.keys(), "*", "@"]) state.variables.set(name, unknown);
  state.directory = undefined;
}

const nameForm = /[A-Za-z_]\w*/g;

/** Variables that an arithmetic expression may set. */
export const arithmeticNames = (text: string): string[] =>
  /(^|[^=!<>])=(?!=)|<<=|>>=|\+\+|--/.test(text) ? (text.match(nameForm) ?? []) : [];

/** Variables that a builtin sets to what only a run tells; null: it is no such builtin. */
export function namesSetBy(argv: readonly string[]): string[] | null {
  const [builtin, ...args] = argv;
  const named = args.filter((word) => /^[A-Za-z_]\w*$/.test(word));
  switch (builtin) {
    case "read":
      return [...named, "REPLY"];
    case "mapfile":
    case "readarray":
      return [...named, "MAPFILE"];
    case "getopts":
      return [...named, "OPTARG", "OPTIND"];
    case "unset":
      return args.map((word) => word.split("[")[0]!).filter((word) => !word.startsWith("-"));
    case "printf":
      return args[0] === "-v" && args[1] !== undefined ? [args[1].split("[")[0]!] : null;
    case "let":
      return args.flatMap(arithmeticNames);
    default:
      return null;
  }
}
