import { expect, test } from "vitest";
import { derivedFreshTarget } from "../../../control-plane/schedule/fresh-target.ts";

const hour = 3600;
// A Wednesday evening.
const after = new Date("2026-11-25T23:00:00Z");
const target = (schedule: string | null, more = {}) =>
  derivedFreshTarget(
    {
      name: "debian",
      schedule,
      zone: "UTC",
      startsAt: null,
      endsAt: null,
      splaySeconds: 0,
      quiet: [],
      ...more,
    },
    { after },
  );

test.each([
  ["17 */4 * * *", 2 * 4 * hour],
  ["0 4 * * *", 2 * 24 * hour],
  ["0 4 * * 1-5", 2 * 72 * hour],
  ["* * * * *", 2 * 60],
  ["*/10 * * * * *", 2 * 10],
  ["0 3 1 * *", 2 * 31 * 24 * hour],
  ["0 0 1 1 *", 2 * 366 * 24 * hour],
])("%s: twice its longest pause", (schedule, seconds) => {
  expect(target(schedule)).toBe(seconds);
});

test("the night and the weekend of a schedule of minutes are seen", () => {
  // Friday 18:55 to Monday 08:00.
  expect(target("*/5 8-18 * * 1-5")).toBe(2 * (61 * hour + 300));
});

test("splay and quiet times count", () => {
  expect(target("0 * * * *", { splaySeconds: 600 })).toBe(2 * hour + 600);
  const quiet = [{ from: "22:00", to: "06:00", days: ["mon"] }];
  expect(target("0 * * * *", { quiet })).toBe(2 * (hour + 8 * hour));
});

test("without a schedule, and after its end, it is a day", () => {
  expect(target(null)).toBe(24 * hour);
  expect(target("0 4 * * *", { endsAt: "2026-11-26T00:00:00Z" })).toBe(24 * hour);
});
