/** What is read takes at most this share of the time. */
const largestShare = 0.2;

/**
 * Reads for many what has a name, or what was read under it a moment ago; or for so many seconds, where its name says all
 * that it is made from.
 */
export type Share = <Value>(
  name: string,
  read: () => Promise<Value>,
  seconds?: number,
) => Promise<Value>;

/**
 * Shares readings by name, in this process: who asks again within so many milliseconds, or longer where reading is
 * slow, gets what was read before. What is forgotten leaves nothing behind.
 */
export function openShare({ milliseconds }: { milliseconds: number }): Share {
  const readings = new Map<string, Promise<unknown>>();
  return <Value>(
    name: string,
    read: () => Promise<Value>,
    seconds: number = milliseconds / 1000,
  ): Promise<Value> => {
    const known = readings.get(name);
    if (known) return known as Promise<Value>;
    const began = performance.now();
    const latest = read();
    readings.set(name, latest);
    const forget = () => readings.delete(name);
    latest.then(
      () =>
        setTimeout(
          forget,
          Math.max(seconds * 1000, (performance.now() - began) / largestShare),
        ).unref(),
      forget,
    );
    return latest;
  };
}

/** The same for one reading. */
export function shared<Value>({
  milliseconds,
  read,
}: {
  milliseconds: number;
  read: () => Promise<Value>;
}): () => Promise<Value> {
  const share = openShare({ milliseconds });
  return () => share("", read);
}
