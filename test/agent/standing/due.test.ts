import { expect, test } from "vitest";
import { dueOccurrence } from "../../../agent/standing/due.ts";

const claims = {
  occurrences: [1000, 2000, 3000],
  delaySeconds: 100,
  misfire: "latest" as const,
};

test("the latest occurrence whose time has come is due; those before it are missed", () => {
  expect(dueOccurrence({ claims, after: 500, now: 2500 })).toBe(2000);
  expect(dueOccurrence({ claims, after: 500, now: 9999 })).toBe(3000);
});

test("nothing is due before the delay is over, nor twice, nor of a time in which there was contact", () => {
  expect(dueOccurrence({ claims, after: 500, now: 1099 })).toBeNull();
  expect(dueOccurrence({ claims, after: 500, now: 1100 })).toBe(1000);
  expect(dueOccurrence({ claims, after: 1000, now: 2099 })).toBeNull();
  expect(dueOccurrence({ claims, after: 3000, now: 9999 })).toBeNull();
});

test("where the project passes over what it has missed, an occurrence is due for a minute", () => {
  const skip = { ...claims, misfire: "skip" as const };
  expect(dueOccurrence({ claims: skip, after: 500, now: 2160 })).toBe(2000);
  expect(dueOccurrence({ claims: skip, after: 500, now: 2161 })).toBeNull();
});
