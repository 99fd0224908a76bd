import { setTimeout as sleep } from "node:timers/promises";

const longestSeconds = 60;

/** Full-jitter back-off: a random pause of at most 0.5, 1, 2 … 60 seconds; ends at once when aborted. */
export async function backOff({
  failures,
  signal,
}: {
  failures: number;
  signal: AbortSignal;
}): Promise<void> {
  const ceiling = Math.min(longestSeconds, 0.5 * 2 ** Math.max(0, failures - 1));
  await sleep(Math.random() * ceiling * 1000, undefined, { signal }).catch((error: Error) => {
    if (error.name !== "AbortError") throw error;
  });
}
