import { Cron } from "croner";
import type { TimeWindow } from "../../protocol/schedule.ts";

const dayMilliseconds = 86_400_000;
/** A window ends within a day of its start, or an hour later where clocks go back. */
const longest = dayMilliseconds + 3_600_000;

function cronAt(time: string, { zone, days }: { zone: string; days: string }): Cron {
  const [hours, minutes] = time.split(":").map(Number);
  return new Cron(`${minutes} ${hours} * * ${days}`, { timezone: zone, paused: true });
}

/** End of a window that `at` lies in (its start belongs to it, its end does not); null where it does not. */
export function endOfWindow(
  { window, zone }: { window: TimeWindow; zone: string },
  { at }: { at: Date },
): Date | null {
  const starts = cronAt(window.from, { zone, days: window.days.join(",") });
  const ends = cronAt(window.to, { zone, days: "*" });
  for (
    let start = starts.nextRun(new Date(at.getTime() - longest));
    start && start <= at;
    start = starts.nextRun(start)
  ) {
    const end = ends.nextRun(start);
    if (end && end > at) return end;
  }
  return null;
}

/** First time from `at` on that lies in none of the windows; null where they leave none within a week. */
export function endOfWindows(
  { windows, zone }: { windows: TimeWindow[]; zone: string },
  { at }: { at: Date },
): Date | null {
  let open = at;
  for (;;) {
    const end = windows
      .map((window) => endOfWindow({ window, zone }, { at: open }))
      .find((found) => found !== null);
    if (!end) return open;
    if (end.getTime() > at.getTime() + 8 * dayMilliseconds) return null;
    open = end;
  }
}
