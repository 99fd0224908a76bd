/** Reads for many at once: who asks again within so many milliseconds gets what was read before. */
export function shared<Value>({
  milliseconds,
  read,
}: {
  milliseconds: number;
  read: () => Promise<Value>;
}): () => Promise<Value> {
  let latest: { at: number; value: Promise<Value> } | null = null;
  return () => {
    if (latest && Date.now() - latest.at < milliseconds) return latest.value;
    latest = { at: Date.now(), value: read() };
    return latest.value;
  };
}
