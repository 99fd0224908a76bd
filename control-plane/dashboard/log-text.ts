import { visible } from "./visible.ts";

/** Characters of one line that a page shows. */
const longestLine = 4000;

/** Shortens lines that no screen has room for. */
const shortened = (text: string): string =>
  text.replaceAll(
    new RegExp(`^(.{${longestLine}})(.+)$`, "gmu"),
    (_, kept: string, rest: string) => `${kept} … (${rest.length} more characters)`,
  );

/** Decodes pieces of a log as they come: characters that two pieces share stay whole. */
export function logDecoder(): (bytes: Uint8Array) => string {
  const decoder = new TextDecoder();
  return (bytes) => shortened(visible(decoder.decode(bytes, { stream: true })));
}
