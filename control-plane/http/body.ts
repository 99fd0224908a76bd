import type { Context } from "hono";
import { Lexer, parseDocument } from "yaml";
import { AppError } from "../../protocol/errors.ts";

const malformed = (message: string, cause?: unknown) =>
  new AppError("malformed-body", message, { cause });

/** Deepest nesting of a body: far more than any schema has. */
const deepest = 32;

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    // The engine quotes what stands around the fault, and that may be a password: only the place is told.
    const why = (cause as Error).message.replace(/, (?:\.\.\.)?".*$/s, "");
    throw malformed(`the body is not JSON: ${why}`);
  }
}

/** Refuses what no description needs and the parser takes minutes for: deep nesting, and indicators without values. */
function refuseNests(text: string): void {
  let open = 0;
  let bare = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === "[" || token === "{") open += 1;
    else if (token === "]" || token === "}") open -= 1;
    if (/^(?:[-?:[{]$|[&!*])/.test(token)) bare += 1;
    else if (/^[^\s#]/.test(token)) bare = 0;
    if (open > deepest || bare > 2 * deepest)
      throw malformed(`the body is not usable YAML: it is nested more than ${deepest} levels deep`);
  }
}

function fromYaml(text: string): unknown {
  refuseNests(text);
  const document = parseDocument(text, { uniqueKeys: true, prettyErrors: true });
  const [error] = document.errors;
  if (error) throw malformed(`the body is not YAML: ${error.message.split("\n")[0]}`, error);
  try {
    // Few aliases are enough for people; many are how a few bytes become gigabytes.
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw malformed(`the body is not YAML: ${(cause as Error).message}`, cause);
  }
}

const refused = (field: string, message: string) =>
  new AppError("invalid-input", `${field} ${message}`, { fields: [{ field, message }] });

/**
 * Refuses what Postgres cannot hold, in keys or values: NUL, halves of surrogate pairs; what is nested
 * without end; and `__proto__`, which objects take for something else. @throws AppError `invalid-input`.
 */
export function refuseUnstorable(value: unknown, path: string[] = []): void {
  if (path.length > deepest) throw refused("(body)", `is nested more than ${deepest} levels deep`);
  if (typeof value === "string" && (value.includes("\0") || !value.isWellFormed())) {
    const field = path.join(".").replaceAll("\0", "\\0").toWellFormed() || "(body)";
    throw refused(field, "must not hold NUL or half of a surrogate pair");
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    if (key === "__proto__") throw refused([...path, key].join("."), "is not a known field");
    refuseUnstorable(key, [...path, key]);
    refuseUnstorable(item, [...path, key]);
  }
}

function fromUtf8(bytes: ArrayBuffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw malformed("the body is not UTF-8", cause);
  }
}

/** The bytes of a request's body. @throws AppError `malformed-body` where it broke off: its client is gone, not the database. */
export async function readBody(c: Context): Promise<ArrayBuffer> {
  try {
    return await c.req.arrayBuffer();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ECONNRESET") throw cause;
    throw malformed("the body broke off", cause);
  }
}

/** Reads a body; none counts as `{}`. YAML is for those who may describe a fleet. @throws AppError `malformed-body`. */
export async function parseBody(c: Context, { yaml }: { yaml: boolean }): Promise<unknown> {
  const text = fromUtf8(await readBody(c));
  if (text === "") return {};
  const isYaml = /^(application|text)\/(x-)?yaml\b/.test(c.req.header("content-type") ?? "");
  const value = isYaml && yaml ? fromYaml(text) : fromJson(text);
  refuseUnstorable(value);
  return value;
}
