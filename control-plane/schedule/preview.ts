import { Cron } from "croner";
import type { Preview } from "../../protocol/schedule.ts";
import { firstRun, nextRun } from "./next-run.ts";

/** A time in a zone, with its offset: "2026-03-29 03:00:00 +02:00". */
function local({ at, zone }: { at: Date; zone: string }): { text: string; offset: string } {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat("en-CA", {
      timeZone: zone,
      dateStyle: "short",
      timeStyle: "medium",
      hourCycle: "h23",
    })
      .formatToParts(at)
      .map(({ type, value }) => [type, value]),
  );
  const name = new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset" })
    .formatToParts(at)
    .find(({ type }) => type === "timeZoneName")!.value;
  const offset = name === "GMT" ? "+00:00" : name.slice(3);
  const { year, month, day, hour, minute, second } = parts;
  return { text: `${year}-${month}-${day} ${hour}:${minute}:${second} ${offset}`, offset };
}

const dayMilliseconds = 86_400_000;

/** Milliseconds of "+02:00". */
function offsetMilliseconds(offset: string): number {
  const [hours, minutes] = offset.slice(1).split(":").map(Number) as [number, number];
  return (offset.startsWith("-") ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

const wallTime = ({ at, zone }: { at: Date; zone: string }) =>
  local({ at, zone }).text.slice(0, "2026-03-29 03:00:00".length);

/** Is a time of the clock on the wall one that the expression names? */
function isNamed(schedule: string, wall: string): boolean {
  const at = new Date(`${wall.replace(" ", "T")}Z`);
  const cron = new Cron(schedule, { timezone: "UTC", paused: true });
  return cron.nextRun(new Date(at.getTime() - 1000))?.getTime() === at.getTime();
}

/** What a change of the clocks does to an occurrence: it is moved out of a gap, or its hour comes twice. */
function clockNote({ at, zone, schedule }: { at: Date; zone: string; schedule: string }) {
  const shifted = (milliseconds: number) => new Date(at.getTime() + milliseconds);
  const before = local({ at: shifted(-dayMilliseconds), zone }).offset;
  const after = local({ at: shifted(dayMilliseconds), zone }).offset;
  if (before === after) return null;
  const wall = wallTime({ at, zone });
  if (!isNamed(schedule, wall))
    return `moved: the clocks go from ${before} to ${after}, and skip the time that it was due`;
  const back = offsetMilliseconds(before) - offsetMilliseconds(after);
  if (back > 0 && wallTime({ at: shifted(back), zone }) === wall)
    return `first of two: the clocks go back from ${before} to ${after}`;
  if (back > 0 && wallTime({ at: shifted(-back), zone }) === wall)
    return `second of two: the clocks went back from ${before} to ${after}`;
  return null;
}

/** The next occurrences of an expression in a zone. @throws AppError `invalid-input`. */
export function previewSchedule({
  schedule,
  zone,
  count,
  after,
}: {
  schedule: string;
  zone: string;
  count: number;
  after: Date;
}): Preview {
  const whole = {
    name: "",
    schedule,
    zone,
    startsAt: null,
    endsAt: null,
    splaySeconds: 0,
    quiet: [],
  };
  const occurrences: Preview["occurrences"] = [];
  let at: Date | null = firstRun(whole, { after });
  while (at && occurrences.length < count) {
    occurrences.push({
      at: at.toISOString(),
      local: local({ at, zone }).text,
      note: clockNote({ at, zone, schedule }),
    });
    at = nextRun(whole, { after: at });
  }
  return { zone, occurrences };
}
