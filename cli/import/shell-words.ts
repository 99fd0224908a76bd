import type { Word, WordPart } from "unbash";

/** Stands for text that is only known when a script runs. */
export const unknown = "\uE000";

/**
 * Variables by name; an array is a list. `@` holds the positional parameters, where they are known, and `*`
 * what stands for variables that are not named here: `unknown` where something may have set them.
 */
export type Variables = Map<string, string | string[]>;

/** A piece of a word: quoted text is never split into several words. */
type Piece = { text: string; quoted: boolean } | { words: string[] };

const literal = (text: string, quoted: boolean): Piece => ({ text, quoted });

const isPositional = (name: string) => /^[1-9]\d*$/.test(name);

/** Undefined: nothing that was read sets it. */
function valueOf(name: string, variables: Variables): string | string[] | undefined {
  if (!isPositional(name)) return variables.get(name) ?? variables.get("*");
  const all = variables.get("@");
  return Array.isArray(all) ? all[Number(name) - 1] : unknown;
}

/** `$name` where nothing sets it: a positional parameter is empty then, others may be in the environment. */
const absent = (name: string) => (isPositional(name) ? "" : unknown);

function parameter(part: WordPart, variables: Variables, quoted: boolean): Piece {
  if (part.type === "SimpleExpansion") {
    const name = part.text.slice(1);
    const value = name === "*" ? undefined : valueOf(name, variables);
    if (Array.isArray(value))
      return name === "@" ? { words: value } : literal(value[0] ?? "", quoted);
    return literal(value ?? absent(name), quoted);
  }
  if (part.type !== "ParameterExpansion" || part.prefix !== undefined)
    return literal(unknown, quoted);
  const { operation, index, parameter: name } = part;
  const value = valueOf(name, variables);
  if (index !== undefined)
    return Array.isArray(value) && index.value === "@" && operation === undefined
      ? { words: value }
      : literal(unknown, quoted);
  if (operation === undefined)
    return literal(Array.isArray(value) ? unknown : (value ?? absent(name)), quoted);
  const isDefault = operation.type === "Default" && /^:?[-=]$/.test(operation.operator);
  if (!isDefault || Array.isArray(value)) return literal(unknown, quoted);
  // An environment that is not here may have set it: only what was read is known.
  const empty = value === "" && operation.operator.startsWith(":");
  if (value !== undefined && !empty) return literal(value, quoted);
  const otherwise = oneWord(operation.operand, variables);
  if (operation.operator.endsWith("=")) variables.set(name, otherwise);
  return literal(otherwise, quoted);
}

function piecesOf(part: WordPart, variables: Variables, quoted: boolean): Piece[] {
  switch (part.type) {
    case "Literal":
    case "SingleQuoted":
    case "AnsiCQuoted":
      return [literal(part.value, true)];
    case "Glob":
      return [literal(part.text, true)];
    case "DoubleQuoted":
      return part.parts.flatMap((child) => piecesOf(child, variables, true));
    case "SimpleExpansion":
    case "ParameterExpansion":
      return [parameter(part, variables, quoted)];
    default:
      return [literal(unknown, quoted)];
  }
}

/**
 * The words that a word of a script becomes, as far as that is known without running it: variables that
 * the script sets itself are put in, unquoted ones split at white space. What is not known is `unknown`.
 */
export function wordsOf(word: Word, variables: Variables): string[] {
  if (word.parts === undefined) return [word.value.replace(/^~(?=\/|$)/, unknown)];
  const words: string[] = [];
  let open: string | null = null;
  for (const piece of word.parts.flatMap((part) => piecesOf(part, variables, false))) {
    const pieces =
      "words" in piece ? piece.words : piece.quoted ? [piece.text] : piece.text.split(/[ \t\n]+/);
    for (const [index, text] of pieces.entries()) {
      const splits = !("words" in piece) && !piece.quoted;
      if (index > 0) {
        if (open !== null) words.push(open);
        open = null;
      }
      if (!splits || text !== "") open = (open ?? "") + text;
    }
  }
  if (open !== null) words.push(open);
  return words;
}

/** The same for a place that takes one word, as an assignment's value: nothing is split. */
export function oneWord(word: Word, variables: Variables): string {
  if (word.parts === undefined) return word.value;
  return word.parts
    .flatMap((part) => piecesOf(part, variables, true))
    .map((piece) => ("words" in piece ? piece.words.join(" ") : piece.text))
    .join("");
}
