import { Cron } from "croner";

/** Divisors of a clock's face: only these come round evenly. */
const divisors = (of: number) =>
  Array.from({ length: of }, (_, index) => index + 1).filter((each) => of % each === 0);

/** A cron expression for "every so many minutes", never more often; `exact`: it is that very pause. */
export function cronEvery(minutes: number): { schedule: string; exact: boolean } {
  const up = (value: number, of: number) => divisors(of).find((each) => each >= value);
  const minute = minutes < 60 ? up(minutes, 60) : undefined;
  if (minute !== undefined && minute < 60)
    return { schedule: `*/${minute} * * * *`, exact: minute === minutes };
  const hour = up(Math.ceil(minutes / 60), 24);
  if (hour === 24) return { schedule: "0 0 * * *", exact: minutes === 1440 };
  if (hour !== undefined)
    return {
      schedule: hour === 1 ? "0 * * * *" : `0 */${hour} * * *`,
      exact: minutes === hour * 60,
    };
  return { schedule: "0 0 * * 0", exact: minutes === 7 * 1440 };
}

const named: Record<string, string> = {
  "@hourly": "0 * * * *",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@weekly": "0 0 * * 0",
  "@monthly": "0 0 1 * *",
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
};

/** A crontab's time as a schedule of five fields; null where there is none like it. */
export function cronOf(text: string): string | null {
  const schedule = named[text] ?? text.trim().replaceAll(/\s+/g, " ");
  if (schedule.startsWith("@")) return null;
  try {
    return new Cron(schedule, { paused: true, timezone: "UTC" }).nextRun() === null
      ? null
      : schedule;
  } catch {
    // croner says so of an expression that it does not know: Vixie cron's "0~30" among them.
    return null;
  }
}
