import { expect, test } from "vitest";
import { judgeClock } from "../../agent/contact.ts";

const heard = { at: 10_000, wall: 10_030, uptime: 500, bootId: "one" };

test("the control plane's time goes on with this host's clock, and silence is counted", () => {
  const reading = { wall: 13_630, uptime: 4100, bootId: "one" };
  expect(judgeClock({ heard, reading })).toEqual({ now: 13_600, silentSeconds: 3600 });
});

test("a clock that was set in between is not believed", () => {
  const reading = { wall: 99_999, uptime: 4100, bootId: "one" };
  expect(judgeClock({ heard, reading })).toEqual({
    fault: "this host's clock was moved by 86369 seconds",
  });
});

test("after a restart of the machine its clock alone counts, unless it says a time before the last contact", () => {
  const later = { wall: 17_230, uptime: 20, bootId: "two" };
  expect(judgeClock({ heard, reading: later })).toEqual({ now: 17_200, silentSeconds: 7200 });
  const dead = { wall: 60, uptime: 20, bootId: "two" };
  expect(judgeClock({ heard, reading: dead })).toMatchObject({
    fault: expect.stringContaining("before the last contact"),
  });
});
