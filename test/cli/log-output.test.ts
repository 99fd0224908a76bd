import { expect, test } from "vitest";
import { openLogOutput } from "../../cli/log-output.ts";

function open({ isTTY }: { isTTY: boolean }) {
  const written: Uint8Array[] = [];
  const stream = { isTTY, write: (piece: string | Uint8Array) => written.push(Buffer.from(piece)) };
  const output = openLogOutput(stream);
  return { ...output, written: () => Buffer.concat(written) };
}

test("a character that is split over pieces, one byte each, is whole on a terminal", () => {
  const { write, end, written } = open({ isTTY: true });
  for (const byte of Buffer.from("grün 北京 🪞\n")) write(Uint8Array.of(byte));
  end();
  expect(written().toString()).toBe("grün 北京 🪞\n");
});

test("a log that ends within a character says so on a terminal, and what a terminal would obey is not sent", () => {
  const { write, end, written } = open({ isTTY: true });
  write(Buffer.concat([Buffer.from("\u001B[2Ja"), Buffer.from("🪞").subarray(0, 2)]));
  expect(written().toString()).toBe("\uFFFD[2Ja");
  end();
  expect(written().toString()).toBe("\uFFFD[2Ja\uFFFD");
});

test("elsewhere a log's bytes arrive as they are", () => {
  const { write, end, written } = open({ isTTY: false });
  const bytes = Buffer.from([0x61, 0xff, 0x1b, 0xf0, 0x9f]);
  write(bytes);
  end();
  expect(written()).toEqual(bytes);
});
