import type { Context } from "hono";
import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";

/** `:id` of the path; one that cannot be is of nothing. @throws AppError `not-found`. */
export function checkedId(c: Context): string {
  const { success, data } = z.uuid().safeParse(c.req.param("id"));
  if (!success) throw new AppError("not-found", "there is nothing with such an id");
  return data;
}
