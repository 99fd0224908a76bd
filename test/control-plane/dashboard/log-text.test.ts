import { expect, test } from "vitest";
import { fromWholeCharacter, logDecoder } from "../../../control-plane/dashboard/log-text.ts";

const text = "a grün 北京 🪞 end";
const bytes = Buffer.from(text);

test("wherever a log is cut, what a page shows and what another stream then adds is the log", () => {
  for (let cut = 0; cut <= bytes.length; cut++) {
    const page = logDecoder();
    const shown = page.decode(bytes.subarray(0, cut));
    const rest = logDecoder().decode(bytes.subarray(cut - page.begun()));
    expect([cut, shown + rest]).toEqual([cut, text]);
  }
});

test("a stream of single bytes is the log, and knows at each where another one would go on", () => {
  const { decode, begun } = logDecoder();
  let shown = "";
  for (let at = 0; at < bytes.length; at++) {
    shown += decode(bytes.subarray(at, at + 1));
    expect(shown + bytes.subarray(at + 1 - begun()).toString()).toBe(text);
  }
});

test("a log's end, wherever it is cut off, begins with a whole character", () => {
  for (let from = 0; from <= bytes.length; from++) {
    const end = logDecoder().decode(fromWholeCharacter(bytes.subarray(from)));
    expect(text.endsWith(end)).toBe(true);
    expect(Buffer.byteLength(end)).toBeGreaterThanOrEqual(bytes.length - from - 3);
  }
});
