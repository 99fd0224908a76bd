import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { repeat } from "../../control-plane/repeat.ts";
import { openPulses } from "../../systemd/pulses.ts";
import { until } from "../helpers/programs.ts";

/** A loop that repeats `action` at once; its pulses, with a clock of their own. */
function start(action: () => Promise<unknown>) {
  const clock = { seconds: 0 };
  const pulses = openPulses({ now: () => clock.seconds });
  const log = pino({ level: "silent" });
  const stop = repeat({ log, pulses, name: "test", everySeconds: 0.01, action });
  return { clock, pulses, stop };
}

test("a loop whose actions fail, as without a database, is not late", async () => {
  const seen = { rounds: 0 };
  const { clock, pulses, stop } = start(async () => {
    seen.rounds += 1;
    throw new Error("no database");
  });
  onTestFinished(stop);
  for (let turn = 0; turn < 3; turn += 1) {
    const { rounds } = seen;
    clock.seconds += 500;
    await until("it has come round", () => seen.rounds >= rounds + 2);
  }
  expect(pulses.late()).toBeNull();
});

test("a loop whose action hangs is late after its patience, and named", async () => {
  const { clock, pulses } = start(() => new Promise<never>(() => {}));
  clock.seconds = 500;
  expect(pulses.late()).toBeNull();
  clock.seconds = 700;
  expect(pulses.late()).toBe('the loop "test"');
});
