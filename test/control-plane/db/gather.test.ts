import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Database } from "../../../control-plane/db/connect.ts";
import { gather } from "../../../control-plane/db/gather.ts";

const ctx = { db: {} as Database };

test("who comes first does not wait, and those who come meanwhile are done together, each with an answer of its own", async () => {
  const rounds: number[][] = [];
  const doubled = gather(async (_ctx: typeof ctx, numbers: number[]) => {
    rounds.push(numbers);
    await sleep(5);
    return numbers.map((number) => 2 * number);
  });
  const answers = await Promise.all([1, 2, 3, 4, 5].map((number) => doubled(ctx, number)));
  expect(answers).toEqual([2, 4, 6, 8, 10]);
  expect(rounds).toEqual([[1], [2], [3, 4, 5]]);
  await doubled(ctx, 6);
  expect(rounds.at(-1)).toEqual([6]);
});

test("where the work fails, all that it was for fail, and those after them are done", async () => {
  const evenOnly = gather(async (_ctx: typeof ctx, numbers: number[]) => {
    await sleep(5);
    if (numbers.some((number) => number % 2 === 1)) throw new Error("odd");
    return numbers;
  });
  const settled = await Promise.allSettled([2, 4, 6, 7].map((number) => evenOnly(ctx, number)));
  expect(settled.map(({ status }) => status)).toEqual([
    "fulfilled",
    "fulfilled",
    "rejected",
    "rejected",
  ]);
  expect(await evenOnly(ctx, 8)).toBe(8);
});

test("no more than 25 are done at a time", async () => {
  const sizes: number[] = [];
  const work = gather(async (_ctx: typeof ctx, numbers: number[]) => {
    sizes.push(numbers.length);
    await sleep(5);
    return numbers;
  });
  await Promise.all(Array.from({ length: 60 }, (_, index) => work(ctx, index)));
  expect(sizes).toEqual([1, 1, 25, 25, 8]);
});
