import type { Context } from "hono";
import type { z } from "zod";
import { AppError, parse } from "../../protocol/errors.ts";

/** Reads and checks a JSON body; no body counts as `{}`. @throws AppError `malformed-body`, `invalid-input`. */
export async function jsonBody<Schema extends z.ZodType>(
  c: Context,
  schema: Schema,
): Promise<z.output<Schema>> {
  const text = await c.req.text();
  let value: unknown;
  try {
    value = text === "" ? {} : JSON.parse(text);
  } catch (cause) {
    throw new AppError("malformed-body", `the body is not JSON: ${(cause as Error).message}`, {
      cause,
    });
  }
  return parse(schema, value, "the body");
}
