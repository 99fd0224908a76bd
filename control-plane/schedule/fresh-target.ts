import type { TimeWindow } from "../../protocol/schedule.ts";
import { longestPause, type Schedule } from "./next-run.ts";

const daySeconds = 86_400;

const minutesOf = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));

const secondsOf = ({ from, to }: TimeWindow) =>
  ((minutesOf(to) - minutesOf(from) + 1440) % 1440) * 60;

/**
 * Seconds within which a project's replicas are to be fresh, where its administrator says nothing: twice
 * the schedule's longest pause, as one pull may fail, and the splay. Without a schedule, or where it is
 * over, a day: the time that an FTP host has after a trigger.
 */
export function derivedFreshTarget(
  project: Omit<Schedule, "schedule"> & { schedule: string | null },
  { after }: { after: Date },
): number {
  const { schedule, quiet, splaySeconds } = project;
  const pause = schedule === null ? null : longestPause({ ...project, schedule }, { after });
  if (pause === null) return daySeconds;
  const silent = quiet.reduce((sum, window) => sum + secondsOf(window), 0);
  return 2 * (pause + silent) + splaySeconds;
}
