import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../protocol/errors.ts";

const longestSeconds = 10;

/** Was it the connection that failed, or a control plane that cannot answer now? */
export const isAway = (error: unknown): error is AppError =>
  error instanceof AppError && error.code === "unavailable";

/**
 * Looks again while the control plane cannot be reached, and says so on standard error: who watches
 * something for hours must not lose it to a restart. Ctrl-C ends it. @throws what is no loss of connection.
 */
export async function patiently<Value>(look: () => Promise<Value>): Promise<Value> {
  for (let seconds = 0.5, lost = false; ; seconds = Math.min(longestSeconds, seconds * 2)) {
    try {
      const value = await look();
      if (lost) process.stderr.write("connected again\n");
      return value;
    } catch (error) {
      if (!isAway(error)) throw error;
      if (!lost) process.stderr.write(`${error.message}; trying again until Ctrl-C\n`);
      lost = true;
    }
    await sleep(seconds * 1000);
  }
}
