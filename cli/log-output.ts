const escape = String.fromCodePoint(27);

/** Text of a log without what a terminal would obey. */
const harmless = (text: string): string =>
  text.replaceAll(/[^\P{Cc}\n\t]/gu, "\uFFFD").replaceAll(escape, "\uFFFD");

export type LogOutput = { write: (bytes: Uint8Array) => void; end: () => void };

/**
 * Writes a log as it comes, over as many connections as that takes: to a terminal as text, in which characters that
 * two pieces share stay whole; elsewhere its bytes as they are. `end` says that no more comes.
 */
export function openLogOutput(stream: {
  isTTY?: boolean;
  write: (text: string | Uint8Array) => unknown;
}): LogOutput {
  if (!stream.isTTY) return { write: (bytes) => void stream.write(bytes), end: () => undefined };
  const decoder = new TextDecoder();
  return {
    write: (bytes) => void stream.write(harmless(decoder.decode(bytes, { stream: true }))),
    end: () => void stream.write(harmless(decoder.decode())),
  };
}
