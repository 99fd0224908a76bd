import { createHash } from "node:crypto";
import { Cron } from "croner";
import { AppError } from "../../protocol/errors.ts";
import type { TimeWindow } from "../../protocol/schedule.ts";
import { endOfWindows } from "./time-window.ts";

/** When a project is due. Splay is derived from `name`. */
export type Schedule = {
  name: string;
  schedule: string;
  zone: string;
  startsAt: string | null;
  endsAt: string | null;
  splaySeconds: number;
  quiet: TimeWindow[];
};

const field = (name: string, message: string, cause?: unknown) =>
  new AppError("invalid-input", `${name} ${message}`, {
    cause,
    fields: [{ field: name, message }],
  });

function isZone(zone: string): boolean {
  try {
    return Boolean(new Intl.DateTimeFormat("en", { timeZone: zone }));
  } catch {
    return false;
  }
}

/** Checks a zone's name. @throws AppError `invalid-input`. */
export function checkZone(zone: string): void {
  if (!isZone(zone))
    throw field("zone", `"${zone}" is not a known IANA time zone: for example "Europe/Berlin"`);
}

function parseSchedule({
  schedule,
  zone,
  startsAt,
  endsAt,
}: Pick<Schedule, "schedule" | "zone" | "startsAt" | "endsAt">): Cron {
  checkZone(zone);
  const parts = schedule.trim().split(/\s+/).length;
  if (parts !== 5 && parts !== 6) {
    throw field(
      "schedule",
      'must have 5 fields (minute hour day month weekday), or 6 with seconds first: for example "17 */4 * * *"',
    );
  }
  try {
    return new Cron(schedule, {
      timezone: zone,
      paused: true,
      ...(startsAt !== null && { startAt: new Date(startsAt) }),
      ...(endsAt !== null && { stopAt: new Date(endsAt) }),
    });
  } catch (cause) {
    throw field(
      "schedule",
      `is not a cron expression (${(cause as Error).message}): for example "17 */4 * * *"`,
      cause,
    );
  }
}

/** Seconds by which a project's occurrences are moved: the same always and everywhere. */
function splayOf({ name, splaySeconds }: Pick<Schedule, "name" | "splaySeconds">): number {
  return createHash("sha256").update(name).digest().readUInt32BE() % (splaySeconds + 1);
}

/** When an occurrence of the cron expression really is: after quiet windows, and moved by the splay. */
function moved(schedule: Schedule, occurrence: Date): Date {
  const { quiet: windows, zone } = schedule;
  const open = endOfWindows({ windows, zone }, { at: occurrence });
  if (!open) throw field("quiet", "leaves no time of the day in which a run could start");
  return new Date(open.getTime() + splayOf(schedule) * 1000);
}

/**
 * First time of a schedule after `after`; null where there is none.
 * @throws AppError `invalid-input` for a bad expression or zone.
 */
export function nextRun(schedule: Schedule, { after }: { after: Date }): Date | null {
  const from = new Date(after.getTime() - splayOf(schedule) * 1000);
  const occurrence = parseSchedule(schedule).nextRun(from);
  return occurrence && moved(schedule, occurrence);
}

/** Far enough for a night and a weekend, in steps that a schedule of minutes and one of months both take. */
const looks = 64;
const shortestStep = 3 * 3_600_000;

/**
 * Longest time in seconds between two occurrences of the cron expression that lie ahead, as far as some
 * dozens of looks go; null where there are no two.
 */
export function longestPause(
  schedule: Pick<Schedule, "schedule" | "zone" | "startsAt" | "endsAt">,
  { after }: { after: Date },
): number | null {
  const cron = parseSchedule(schedule);
  let longest = 0;
  let at = cron.nextRun(after);
  for (let look = 0; at && look < looks; look++) {
    const next: Date | null = cron.nextRun(at);
    if (!next) break;
    const pause = next.getTime() - at.getTime();
    longest = Math.max(longest, pause);
    at = next;
    if (pause >= shortestStep) continue;
    // Where they are frequent, a pause is where a jump over hours lands.
    const landed = cron.nextRun(new Date(at.getTime() + shortestStep - 1));
    const [before] = landed ? cron.previousRuns(1, new Date(landed.getTime() - 1000)) : [];
    if (landed && before) longest = Math.max(longest, landed.getTime() - before.getTime());
    at = landed;
  }
  return longest === 0 ? null : Math.round(longest / 1000);
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
  const last = until.getTime() - splayOf(schedule) * 1000;
  // Look back over growing windows: a schedule of seconds may have missed millions of times.
  for (let window = 60_000; last - window > from.getTime() - 86_400_000; window *= 8) {
    let at = cron.nextRun(new Date(last - window - 1));
    if (!at || at.getTime() > last) continue;
    for (let next = cron.nextRun(at); next && next.getTime() <= last; next = cron.nextRun(next))
      at = next;
    const time = moved(schedule, at);
    return time > until || time < from ? from : time;
  }
  return from;
}
