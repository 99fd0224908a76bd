import { Cron } from "croner";
import { AppError } from "../../protocol/errors.ts";

type Schedule = { schedule: string; zone: string };

const field = (name: string, message: string, cause?: unknown) =>
  new AppError("invalid-input", `${name} ${message}`, {
    cause,
    fields: [{ field: name, message }],
  });

function parseSchedule({ schedule, zone }: Schedule): Cron {
  if (!isZone(zone))
    throw field("zone", `"${zone}" is not a known IANA time zone: for example "Europe/Berlin"`);
  const parts = schedule.trim().split(/\s+/).length;
  if (parts !== 5 && parts !== 6) {
    throw field(
      "schedule",
      'must have 5 fields (minute hour day month weekday), or 6 with seconds first: for example "17 */4 * * *"',
    );
  }
  try {
    return new Cron(schedule, { timezone: zone, paused: true });
  } catch (cause) {
    throw field(
      "schedule",
      `is not a cron expression (${(cause as Error).message}): for example "17 */4 * * *"`,
      cause,
    );
  }
}

function isZone(zone: string): boolean {
  try {
    return Boolean(new Intl.DateTimeFormat("en", { timeZone: zone }));
  } catch {
    return false;
  }
}

/**
 * First time of a schedule after `after`; null where there is none.
 * @throws AppError `invalid-input` for a bad expression or zone.
 */
export function nextRun(schedule: Schedule, { after }: { after: Date }): Date | null {
  return parseSchedule(schedule).nextRun(after);
}

/** Checks a schedule before it is stored. @throws AppError `invalid-input`, also where it never fires. */
export function firstRun(schedule: Schedule, { after }: { after: Date }): Date {
  const first = nextRun(schedule, { after });
  if (!first) throw field("schedule", `"${schedule.schedule}" never fires: no such date will come`);
  return first;
}

/** Latest time of a schedule in `from`…`until` (inclusive); `from` itself is known to be one. */
export function latestRun(schedule: Schedule, { from, until }: { from: Date; until: Date }): Date {
  const cron = parseSchedule(schedule);
  // Look back over growing windows: a schedule of seconds may have missed millions of times.
  for (let window = 60_000; ; window *= 8) {
    let at = cron.nextRun(new Date(until.getTime() - window - 1));
    if (until.getTime() - window <= from.getTime()) at = from;
    if (!at || at > until) continue;
    if (at < from) at = from;
    for (let next = cron.nextRun(at); next && next <= until; next = cron.nextRun(next)) at = next;
    return at;
  }
}
