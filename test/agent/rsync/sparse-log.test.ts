import { expect, test } from "vitest";
import { openSparseLog } from "../../../agent/rsync/sparse-log.ts";

function open() {
  const lines: string[] = [];
  const clock = { now: 0 };
  const say = openSparseLog({ log: (line) => lines.push(line), now: () => clock.now });
  return { lines, clock, say: (subject: string) => say({ subject, line: `of ${subject}` }) };
}

test("of one subject there is a line a minute, which tells how many were left out", () => {
  const { lines, clock, say } = open();
  for (clock.now = 0; clock.now < 150_000; clock.now += 100) say("a");
  expect(lines).toEqual([
    "of a",
    "of a (and 599 times more since the last such line)",
    "of a (and 599 times more since the last such line)",
  ]);
});

test("however many subjects there are, there are 20 lines a minute, and those left out are counted", () => {
  const { lines, clock, say } = open();
  for (let at = 0; at < 100_000; at++) say(`stranger ${at}`);
  expect(lines).toHaveLength(20);
  clock.now = 60_000;
  say("a");
  expect(lines.at(-1)).toBe("of a (and 99980 times more since the last such line)");
});
