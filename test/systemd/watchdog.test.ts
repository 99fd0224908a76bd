import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { openPulses } from "../../systemd/pulses.ts";
import { startWatchdog } from "../../systemd/watchdog.ts";
import { until } from "../helpers/programs.ts";

/** A watchdog that is to be told every 60 ms, with a clock of its own. */
function start(environment: NodeJS.ProcessEnv = { WATCHDOG_USEC: "60000" }) {
  const clock = { seconds: 0 };
  const pulses = openPulses({ now: () => clock.seconds });
  const told: string[] = [];
  const logged: string[] = [];
  const notify = async (...assignments: string[]) => void told.push(...assignments);
  const log = (line: string) => void logged.push(line);
  onTestFinished(startWatchdog({ environment, notify, pulses, log }));
  return { clock, pulses, told, logged };
}

test("the watchdog is told for as long as all that is expected comes in time", async () => {
  const { clock, pulses, told } = start();
  pulses.expect("a loop", 10);
  clock.seconds = 9;
  pulses.expect("a loop", 10);
  clock.seconds = 18;
  await until("it is told", () => told.length > 2);
  expect(new Set(told)).toEqual(new Set(["WATCHDOG=1"]));
});

test("it is told no more once something is late, which is logged once, and again when that comes", async () => {
  const { clock, pulses, told, logged } = start();
  pulses.expect("a loop", 10);
  clock.seconds = 11;
  await until("it is noticed", () => logged.length > 0);
  const before = told.length;
  await sleep(150);
  expect(told.length).toBe(before);
  expect(logged).toEqual([expect.stringContaining("a loop has not been heard of")]);
  pulses.expect("a loop", 10);
  await until("it is told again", () => told.length > before);
});

test("what has ended is not waited for", () => {
  const pulses = openPulses({ now: () => 0 });
  pulses.expect("a loop", -1);
  expect(pulses.late()).toBe("a loop");
  pulses.forget("a loop");
  expect(pulses.late()).toBeNull();
});

test.each([{}, { WATCHDOG_USEC: "60000", WATCHDOG_PID: "1" }])(
  "where no watchdog asks this process, none is told: %o",
  async (environment) => {
    const { told } = start(environment);
    await sleep(150);
    expect(told).toEqual([]);
  },
);
