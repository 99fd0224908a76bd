import fc from "fast-check";
import { expect, test } from "vitest";
import { firstRun, latestRun, nextRun } from "../../../control-plane/schedule/next-run.ts";

const plain = { name: "debian", startsAt: null, endsAt: null, splaySeconds: 0, quiet: [] };

function times(
  schedule: string,
  { zone, after, count }: { zone: string; after: string; count: number },
): string[] {
  const found: string[] = [];
  for (
    let at = nextRun({ ...plain, schedule, zone }, { after: new Date(after) });
    at && found.length < count;
  ) {
    found.push(at.toISOString());
    at = nextRun({ ...plain, schedule, zone }, { after: at });
  }
  return found;
}

test("a time that the spring change leaves out fires at the end of the gap", () => {
  expect(
    times("30 2 * * *", { zone: "America/New_York", after: "2026-03-07T12:00:00Z", count: 2 }),
  ).toEqual(["2026-03-08T07:00:00.000Z", "2026-03-09T06:30:00.000Z"]);
});

test("minutes of an hour that the autumn change repeats fire in both copies", () => {
  expect(
    times("*/20 1 * * *", { zone: "America/New_York", after: "2026-11-01T04:30:00Z", count: 7 }),
  ).toEqual([
    "2026-11-01T05:00:00.000Z",
    "2026-11-01T05:20:00.000Z",
    "2026-11-01T05:40:00.000Z",
    "2026-11-01T06:00:00.000Z",
    "2026-11-01T06:20:00.000Z",
    "2026-11-01T06:40:00.000Z",
    "2026-11-02T06:00:00.000Z",
  ]);
});

test("the 29th of February fires in leap years only", () => {
  expect(times("0 0 29 2 *", { zone: "UTC", after: "2026-01-01T00:00:00Z", count: 2 })).toEqual([
    "2028-02-29T00:00:00.000Z",
    "2032-02-29T00:00:00.000Z",
  ]);
});

test.each([
  ["0 0 31 2 *", "UTC", "never fires"],
  ["0 0 * *", "UTC", "must have 5 fields"],
  ["61 * * * *", "UTC", "is not a cron expression"],
  ["@daily", "UTC", "must have 5 fields"],
  ["0 0 * * *", "Mars/Olympus", "not a known IANA time zone"],
])("refuses the schedule %s in zone %s: %s", (schedule, zone, message) => {
  expect(() => firstRun({ ...plain, schedule, zone }, { after: new Date() })).toThrow(message);
});

test("each next time is later than the one before, whatever the schedule", () => {
  const part = (max: number) =>
    fc.oneof(
      fc.constant("*"),
      fc.integer({ min: 2, max: 20 }).map((n) => `*/${n}`),
      fc.integer({ min: 0, max }).map(String),
    );
  fc.assert(
    fc.property(
      part(59),
      part(23),
      fc.constantFrom("UTC", "America/New_York", "Australia/Lord_Howe", "Europe/Berlin"),
      fc.date({ min: new Date("2020-01-01"), max: new Date("2035-01-01"), noInvalidDate: true }),
      (minute, hour, zone, after) => {
        const next = nextRun({ ...plain, schedule: `${minute} ${hour} * * *`, zone }, { after });
        expect(next!.getTime()).toBeGreaterThan(after.getTime());
      },
    ),
  );
});

test("the latest missed time is the last one that a walk over all of them finds", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 400 }),
      fc.constantFrom("*/7 * * * *", "13 */5 * * *", "*/20 * * * * *", "0 4 * * 1"),
      (minutes, schedule) => {
        const zone = "UTC";
        const from = nextRun(
          { ...plain, schedule, zone },
          { after: new Date("2026-05-01T00:00:00Z") },
        )!;
        const until = new Date(from.getTime() + minutes * 60_000);
        let expected = from;
        for (
          let at: Date | null = from;
          at && at <= until;
          at = nextRun({ ...plain, schedule, zone }, { after: at })
        )
          expected = at;
        expect(latestRun({ ...plain, schedule, zone }, { from, until })).toEqual(expected);
      },
    ),
    { numRuns: 30 },
  );
});
