import type { Logger } from "pino";
import type { Pulses } from "../systemd/pulses.ts";

/** Seconds that an action may take beyond its interval: after that it hangs. */
const patienceSeconds = 600;

/** Repeats an action until the returned function is called, which waits for the action under way. */
export function repeat({
  log,
  pulses,
  name,
  everySeconds,
  afterSeconds = 0,
  action,
}: {
  log: Logger;
  pulses: Pulses;
  name: string;
  everySeconds: number;
  afterSeconds?: number;
  action: () => Promise<unknown>;
}): () => Promise<void> {
  let current: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const once = async () => {
    try {
      await action();
    } catch (error) {
      log.error({ err: error }, `${name} failed; it is tried again`);
    }
    if (!stopped) schedule(everySeconds);
  };
  const schedule = (seconds: number) => {
    pulses.expect(`the loop "${name}"`, seconds + patienceSeconds);
    timer = setTimeout(() => {
      current = once();
    }, seconds * 1000);
  };
  schedule(afterSeconds);
  return async () => {
    stopped = true;
    pulses.forget(`the loop "${name}"`);
    clearTimeout(timer);
    await current;
  };
}
