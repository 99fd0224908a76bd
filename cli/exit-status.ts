import { CommanderError } from "commander";
import { AppError, type ErrorCode } from "../protocol/errors.ts";

/** Exit status of what was asked for and did not succeed: a run that failed. */
export const exitFailed = 1;

/** Exit statuses; stable, so that scripts can tell one failure from another. */
export const exitStatuses: Record<number, string> = {
  0: "done",
  [exitFailed]: "what was asked for did not succeed: a run that was followed has failed",
  2: "wrong usage of the command line",
  3: "not authenticated, or the token's scope is too small",
  4: "not found",
  5: "conflict: it exists already, has ended already, is paused, or has changed meanwhile",
  6: "the input is not valid",
  7: "the control plane cannot be reached, or is not able to answer",
};

const statusByCode: Partial<Record<ErrorCode, number>> = {
  "not-authenticated": 3,
  forbidden: 3,
  "not-found": 4,
  conflict: 5,
  "precondition-failed": 5,
  "invalid-input": 6,
  "malformed-body": 6,
  "body-too-large": 6,
};

/** Exit status of what a command threw. */
export function exitStatusOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  return error instanceof AppError ? (statusByCode[error.code] ?? 7) : 7;
}

/** An error for programs: the code and the words of a problem document, and the exit status. */
export function errorObject(error: unknown) {
  const exitStatus = exitStatusOf(error);
  if (error instanceof AppError) {
    const { code, message, fields } = error;
    return { code, detail: message, errors: fields, exitStatus };
  }
  const detail = (error as Error).message.replace(/^error: /, "");
  const code = error instanceof CommanderError ? "usage" : "internal";
  return { code, detail, errors: [], exitStatus };
}
