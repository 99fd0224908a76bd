/** What is read takes at most this share of the time. */
const share = 0.2;

/**
 * Reads for many at once: who asks again within so many milliseconds, or longer where reading is slow,
 * gets what was read before.
 */
export function shared<Value>({
  milliseconds,
  read,
}: {
  milliseconds: number;
  read: () => Promise<Value>;
}): () => Promise<Value> {
  let latest: Promise<Value> | null = null;
  const forget = () => (latest = null);
  return () => {
    if (latest) return latest;
    const began = performance.now();
    latest = read();
    latest.then(
      () => setTimeout(forget, Math.max(milliseconds, (performance.now() - began) / share)).unref(),
      forget,
    );
    return latest;
  };
}

/** Reads for many what has a name, or what was read under it a moment ago. */
export type Share = <Value>(name: string, read: () => Promise<Value>) => Promise<Value>;

/** Shares readings by name, in this process, for so many milliseconds. Names must be few: they stay. */
export function openShare({ milliseconds }: { milliseconds: number }): Share {
  const readings = new Map<string, () => Promise<unknown>>();
  return async <Value>(name: string, read: () => Promise<Value>) => {
    if (!readings.has(name)) readings.set(name, shared({ milliseconds, read }));
    return readings.get(name)!() as Promise<Value>;
  };
}
