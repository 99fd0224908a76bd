import { HTTPException } from "hono/http-exception";
import { AppError } from "../protocol/errors.ts";
import { databaseTrouble } from "./db/database-errors.ts";

/** What to tell of an error, whoever threw it; what is internal says no more than that. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof HTTPException && error.status < 500) {
    return new AppError("malformed-body", error.message, { cause: error });
  }
  const trouble = databaseTrouble(error);
  if (trouble !== null)
    return new AppError("unavailable", `${trouble}: try again later`, { cause: error });
  return new AppError("internal", "internal error", { cause: error });
}
