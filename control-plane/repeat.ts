import type { Logger } from "pino";

/** Repeats an action until the returned function is called, which waits for the action under way. */
export function repeat({
  log,
  name,
  everySeconds,
  afterSeconds = 0,
  action,
}: {
  log: Logger;
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
    timer = setTimeout(() => {
      current = once();
    }, seconds * 1000);
  };
  schedule(afterSeconds);
  return async () => {
    stopped = true;
    clearTimeout(timer);
    await current;
  };
}
