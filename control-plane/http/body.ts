import type { Context } from "hono";
import { parseDocument } from "yaml";
import { AppError } from "../../protocol/errors.ts";

const malformed = (message: string, cause?: unknown) =>
  new AppError("malformed-body", message, { cause });

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw malformed(`the body is not JSON: ${(cause as Error).message}`, cause);
  }
}

function fromYaml(text: string): unknown {
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

/**
 * Refuses what Postgres cannot hold: NUL and halves of surrogate pairs, in keys or values.
 * @throws AppError `invalid-input` that names the place.
 */
export function refuseUnstorable(value: unknown, path: string[] = []): void {
  if (typeof value === "string" && (value.includes("\0") || !value.isWellFormed())) {
    const message = "must not hold NUL or half of a surrogate pair";
    const field = path.join(".").replaceAll("\0", "\\0").toWellFormed() || "(body)";
    throw new AppError("invalid-input", `${field} ${message}`, { fields: [{ field, message }] });
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    refuseUnstorable(key, [...path, key]);
    refuseUnstorable(item, [...path, key]);
  }
}

/** Reads a body: YAML where the content type says so, else JSON; none counts as `{}`. @throws AppError `malformed-body`. */
export async function parseBody(c: Context): Promise<unknown> {
  const text = await c.req.text();
  if (text === "") return {};
  const isYaml = /^(application|text)\/(x-)?yaml\b/.test(c.req.header("content-type") ?? "");
  const value = isYaml ? fromYaml(text) : fromJson(text);
  refuseUnstorable(value);
  return value;
}
