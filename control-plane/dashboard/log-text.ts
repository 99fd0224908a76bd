import { visible } from "./visible.ts";

/** Characters of one line that a page shows. */
const longestLine = 4000;

/** Shortens lines that no screen has room for. */
const shortened = (text: string): string =>
  text.replaceAll(
    new RegExp(`^(.{${longestLine}})(.+)$`, "gmu"),
    (_, kept: string, rest: string) => `${kept} … (${rest.length} more characters)`,
  );

const isContinuation = (byte: number | undefined) => byte !== undefined && byte >> 6 === 0b10;
const lengthOf = (first: number) => (first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1);

/** Pure. Bytes at the end that begin a character of UTF-8 whose rest is not there: 0 to 3. */
function begunAtEnd(bytes: Uint8Array): number {
  let back = 1;
  while (back < 3 && isContinuation(bytes.at(-back))) back += 1;
  const first = bytes.at(-back);
  return first !== undefined && back < lengthOf(first) ? back : 0;
}

/** Pure. A piece that begins anywhere, without what is left at its begin of a character before. */
export function fromWholeCharacter(bytes: Uint8Array): Uint8Array {
  let skip = 0;
  while (skip < 3 && isContinuation(bytes[skip])) skip += 1;
  return bytes.subarray(skip);
}

/**
 * Decodes pieces of a log as they come: characters that two pieces share stay whole. `begun` answers how many of
 * the last bytes wait for the rest of theirs: another decoder is to begin with them.
 */
export function logDecoder(): { decode: (bytes: Uint8Array) => string; begun: () => number } {
  const decoder = new TextDecoder();
  let last = Buffer.alloc(0);
  return {
    decode: (bytes) => {
      last = Buffer.concat([last, bytes.subarray(-3)]).subarray(-3);
      return shortened(visible(decoder.decode(bytes, { stream: true })));
    },
    begun: () => begunAtEnd(last),
  };
}
