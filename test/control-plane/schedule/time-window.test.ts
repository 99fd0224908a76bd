import fc from "fast-check";
import { expect, test } from "vitest";
import { nextRun } from "../../../control-plane/schedule/next-run.ts";
import { endOfWindow } from "../../../control-plane/schedule/time-window.ts";

const everyDay = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const window = (from: string, to: string, days: readonly string[] = everyDay) => ({
  from,
  to,
  days: [...days] as (typeof everyDay)[number][],
});
const end = (given: ReturnType<typeof window>, at: string, zone = "UTC") =>
  endOfWindow({ window: given, zone }, { at: new Date(at) })?.toISOString() ?? null;

test.each([
  ["08:00", "18:00", "2026-05-04T07:59:59Z", null],
  ["08:00", "18:00", "2026-05-04T08:00:00Z", "2026-05-04T18:00:00.000Z"],
  ["08:00", "18:00", "2026-05-04T17:59:59Z", "2026-05-04T18:00:00.000Z"],
  ["08:00", "18:00", "2026-05-04T18:00:00Z", null],
  ["22:00", "06:00", "2026-05-04T23:00:00Z", "2026-05-05T06:00:00.000Z"],
  ["22:00", "06:00", "2026-05-05T05:00:00Z", "2026-05-05T06:00:00.000Z"],
  ["22:00", "06:00", "2026-05-05T12:00:00Z", null],
])("of the window %s to %s, %s has the end %s", (from, to, at, expected) => {
  expect(end(window(from, to), at)).toBe(expected);
});

test("a window that goes over midnight belongs to the day on which it begins", () => {
  const friday = window("22:00", "06:00", ["fri"]);
  expect(end(friday, "2026-05-02T03:00:00Z")).toBe("2026-05-02T06:00:00.000Z");
  expect(end(friday, "2026-05-03T03:00:00Z")).toBeNull();
});

test("a window is in the project's zone, also on the day that the clocks change", () => {
  const night = window("01:00", "04:00");
  expect(end(night, "2026-03-29T00:30:00Z", "Europe/Berlin")).toBe("2026-03-29T02:00:00.000Z");
  expect(end(night, "2026-10-25T00:30:00Z", "Europe/Berlin")).toBe("2026-10-25T03:00:00.000Z");
});

const schedule = {
  name: "debian",
  schedule: "0 * * * *",
  zone: "Europe/Berlin",
  startsAt: null,
  endsAt: null,
  splaySeconds: 0,
  quiet: [] as ReturnType<typeof window>[],
};

test("an occurrence in a quiet window waits for its end", () => {
  const quiet = [window("08:00", "12:00"), window("12:00", "18:30")];
  const next = nextRun({ ...schedule, quiet }, { after: new Date("2026-05-04T06:30:00Z") });
  expect(next?.toISOString()).toBe("2026-05-04T16:30:00.000Z");
});

test("a schedule fires neither before its start nor after its end", () => {
  const limited = {
    ...schedule,
    startsAt: "2026-06-01T00:30:00+02:00",
    endsAt: "2026-06-01T03:30:00+02:00",
  };
  const first = nextRun(limited, { after: new Date("2026-05-04T06:30:00Z") });
  expect(first?.toISOString()).toBe("2026-05-31T23:00:00.000Z");
  expect(nextRun(limited, { after: new Date("2026-06-01T01:00:00Z") })).toBeNull();
});

test("splay moves a project by the same time always, and different projects by different times", () => {
  const at = (name: string) =>
    nextRun(
      { ...schedule, name, splaySeconds: 1800 },
      { after: new Date("2026-05-04T06:45:00Z") },
    )!.getTime();
  const moves = Array.from({ length: 50 }, (_, index) => at(`project-${index}`) % 3_600_000);
  expect(at("a")).toBe(at("a"));
  expect(Math.max(...moves)).toBeLessThanOrEqual(1_800_000);
  expect(new Set(moves).size).toBeGreaterThan(40);
});

test("no occurrence lies in a quiet window, and each is later than the one before, whatever they are", () => {
  const timeOfDay = fc
    .record({ hour: fc.integer({ min: 0, max: 23 }), minute: fc.integer({ min: 0, max: 59 }) })
    .map(
      ({ hour, minute }) => `${String(hour).padStart(2, "0")}:${String(minute).padStart(2, "0")}`,
    );
  fc.assert(
    fc.property(
      timeOfDay,
      timeOfDay,
      fc.uniqueArray(fc.constantFrom(...everyDay), { minLength: 1 }),
      fc.constantFrom("UTC", "America/New_York", "Australia/Lord_Howe", "Europe/Berlin"),
      fc.date({ min: new Date("2024-01-01"), max: new Date("2030-01-01"), noInvalidDate: true }),
      (from, to, days, zone, start) => {
        fc.pre(from !== to);
        const quiet = [window(from, to, days)];
        let after = start;
        for (let count = 0; count < 5; count++) {
          const next = nextRun({ ...schedule, zone, quiet, schedule: "*/37 * * * *" }, { after })!;
          expect(next.getTime()).toBeGreaterThan(after.getTime());
          expect(endOfWindow({ window: quiet[0]!, zone }, { at: next })).toBeNull();
          after = next;
        }
      },
    ),
    { numRuns: 200 },
  );
});
