import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { openTurns } from "../../control-plane/turns.ts";

test("at most so many are at work at a time, and those that wait go in the order in which they came", async () => {
  const turns = openTurns({ atOnce: 2 });
  const [began, most] = [[] as number[], { now: 0, ever: 0 }];
  const answers = Array.from({ length: 20 }, (_, index) =>
    turns(async () => {
      began.push(index);
      most.now += 1;
      most.ever = Math.max(most.ever, most.now);
      await sleep(Math.random() * 5);
      most.now -= 1;
      return index;
    }),
  );
  const all = Array.from({ length: 20 }, (_, index) => index);
  expect(await Promise.all(answers)).toEqual(all);
  expect(began).toEqual(all);
  expect(most.ever).toBe(2);
});

test("work that fails, at once or later, makes room for the next", async () => {
  const turns = openTurns({ atOnce: 1 });
  const failed = Promise.reject(new Error("no"));
  const outcomes = [
    turns(() => failed),
    turns(() => {
      throw new Error("at once");
    }),
    turns(async () => "done"),
  ];
  const [first, second, third] = await Promise.allSettled(outcomes);
  expect([first!.status, second!.status]).toEqual(["rejected", "rejected"]);
  expect(third).toEqual({ status: "fulfilled", value: "done" });
});
