#!/usr/bin/env node
import { CommanderError } from "commander";
import { AppError } from "../protocol/errors.ts";
import { errorObject, exitStatusOf } from "./exit-status.ts";
import { createProgram } from "./program.ts";

// A pipe that was closed, as by "head", is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

const json = process.argv.includes("--json");

try {
  await createProgram({ json }).parseAsync();
} catch (error) {
  if (json && exitStatusOf(error) !== 0) {
    process.stderr.write(`${JSON.stringify(errorObject(error))}\n`);
  } else if (error instanceof AppError) {
    const known = error.fields.filter(({ message }) => !error.message.includes(message));
    process.stderr.write(`mirrorfleet: ${error.message}\n`);
    for (const { field, message } of known) process.stderr.write(`  ${field}: ${message}\n`);
  } else if (!(error instanceof CommanderError)) {
    process.stderr.write(`mirrorfleet: ${(error as Error).stack}\n`);
  }
  process.exitCode = exitStatusOf(error);
}
