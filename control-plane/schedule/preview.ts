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

/** Says where a change of the clocks is near: within the day before. */
function clockNote({ at, zone }: { at: Date; zone: string }): string | null {
  const now = local({ at, zone }).offset;
  const before = local({ at: new Date(at.getTime() - dayMilliseconds), zone }).offset;
  return now === before ? null : `the clocks changed from ${before} to ${now} in the day before`;
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
      note: clockNote({ at, zone }),
    });
    at = nextRun(whole, { after: at });
  }
  return { zone, occurrences };
}
