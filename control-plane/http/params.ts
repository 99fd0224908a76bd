import { z } from "zod";
import { AppError, parse } from "../../protocol/errors.ts";

/** A UUID from a path; anything else names nothing that exists. @throws AppError `not-found`. */
export function idParam(text: string, what: string): string {
  if (!z.uuid().safeParse(text).success)
    throw new AppError("not-found", `there is no such ${what}`);
  return text;
}

/** Query of `GET /v1/runs`. */
export const runsQuerySchema = z.strictObject({
  project: z.string().max(100).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

/** Query of `GET /v1/tasks/{id}/log`. */
export const logQuerySchema = z.strictObject({
  attempt: z.coerce.number().int().min(1).max(1_000_000).optional(),
});

/** Query of `POST /v1/tasks/{id}/log`: where the chunk begins, in bytes. */
export const logChunkQuerySchema = z.strictObject({
  offset: z.coerce
    .number()
    .int()
    .min(0)
    .max(2 ** 40),
});

/** Checks a query string. @throws AppError `invalid-input`. */
export function queryOf<Schema extends z.ZodType>(
  query: Record<string, string>,
  schema: Schema,
): z.output<Schema> {
  return parse(schema, query, "the query");
}
