import { AppError } from "../../protocol/errors.ts";

/** What a check found wrong, with what to do about it. */
export const fault = (message: string, cause?: unknown) =>
  new AppError("unavailable", message, { cause });
