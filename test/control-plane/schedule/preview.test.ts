import { expect, test } from "vitest";
import { previewSchedule } from "../../../control-plane/schedule/preview.ts";

const zone = "America/New_York";
const notes = (schedule: string, { after, count }: { after: string; count: number }) =>
  previewSchedule({ schedule, zone, count, after: new Date(after) }).occurrences.map(
    ({ local, note }) => [local, note],
  );

test("an occurrence whose time the clocks skip is noted as moved; those around it are not", () => {
  expect(notes("30 2 * * *", { after: "2026-03-07T00:00:00Z", count: 3 })).toEqual([
    ["2026-03-07 02:30:00 -05:00", null],
    [
      "2026-03-08 03:00:00 -04:00",
      "moved: the clocks go from -05:00 to -04:00, and skip the time that it was due",
    ],
    ["2026-03-09 02:30:00 -04:00", null],
  ]);
  const hourly = notes("0 * * * *", { after: "2026-03-08T04:30:00Z", count: 5 });
  expect(hourly.map(([, note]) => note)).toEqual([null, null, null, null, null]);
});

test("both copies of a repeated hour are noted, and nothing else of that day", () => {
  expect(notes("*/30 1 * * *", { after: "2026-11-01T03:00:00Z", count: 5 })).toEqual([
    ["2026-11-01 01:00:00 -04:00", "first of two: the clocks go back from -04:00 to -05:00"],
    ["2026-11-01 01:30:00 -04:00", "first of two: the clocks go back from -04:00 to -05:00"],
    ["2026-11-01 01:00:00 -05:00", "second of two: the clocks went back from -04:00 to -05:00"],
    ["2026-11-01 01:30:00 -05:00", "second of two: the clocks went back from -04:00 to -05:00"],
    ["2026-11-02 01:00:00 -05:00", null],
  ]);
  const night = notes("0 0,12 * * *", { after: "2026-11-01T03:00:00Z", count: 4 });
  expect(night.map(([, note]) => note)).toEqual([null, null, null, null]);
});
