import { pipeline } from "node:stream/promises";
import { execa } from "execa";
import { ListsUnusable } from "./unusable.ts";

/** Characters that are sorted here, about 10,000 records: another process takes longer to start. */
const sortedHere = 1024 * 1024;

type Order = {
  /** Where a sort(1) spills what its memory does not hold. */
  directory: string;
  reverse?: boolean;
};

/** Splits a stream into the texts that end with NUL; bytes as latin1. */
export async function* splitAtNul(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of chunks) {
    const parts = (rest + chunk.toString("latin1")).split("\0");
    rest = parts.pop()!;
    yield* parts;
  }
}

/** Sorts by sort(1). @throws ListsUnusable. */
async function* sortedElsewhere(
  records: AsyncIterable<Buffer>,
  { directory, reverse = false }: Order,
): AsyncGenerator<string> {
  const child = execa(
    "sort",
    [
      "--zero-terminated",
      "--buffer-size=16M",
      `--temporary-directory=${directory}`,
      ...(reverse ? ["--reverse"] : []),
    ],
    {
      env: { LC_ALL: "C" },
      buffer: false,
      encoding: "buffer",
      reject: false,
    },
  );
  const fed = pipeline(records, child.stdin).catch((error: unknown) => {
    child.kill();
    return error;
  });
  yield* splitAtNul(child.stdout);
  const error = await fed;
  if (error instanceof Error) throw error;
  const { exitCode } = await child;
  if (exitCode !== 0) throw new ListsUnusable(`sort(1) ended with ${exitCode}`);
}

/** Sorts texts that end with NUL, bytes as latin1, bytewise and in bounded memory. @throws ListsUnusable. */
export async function* sorted(
  records: AsyncIterable<string | Buffer>,
  order: Order,
): AsyncGenerator<string> {
  const portions = records[Symbol.asyncIterator]();
  let first = "";
  while (first.length <= sortedHere) {
    const { done, value } = await portions.next();
    if (done) {
      const all = first.split("\0").slice(0, -1).toSorted();
      yield* order.reverse ? all.toReversed() : all;
      return;
    }
    first += typeof value === "string" ? value : value.toString("latin1");
  }
  const all = async function* () {
    yield Buffer.from(first, "latin1");
    for await (const value of { [Symbol.asyncIterator]: () => portions })
      yield typeof value === "string" ? Buffer.from(value, "latin1") : value;
  };
  yield* sortedElsewhere(all(), order);
}
