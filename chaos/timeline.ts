import type { History, Violation } from "./history.ts";

/** Lines that are shown of one violation. */
const longest = 30;

/** What happened to the things that a violation is about, with the faults around it. */
export function timelineOf(history: History, { ids, at }: Violation): string[] {
  const about = (id: string) => ids.some((each) => each === id || each.includes(id));
  const runs = new Set(history.tasks.filter(({ id }) => about(id)).map(({ runId }) => runId));
  const events: { at: number; what: string }[] = [
    ...history.changes
      .filter(({ id }) => about(id) || runs.has(id))
      .map(({ at, kind, id, from, to, attempt }) => ({
        at,
        what: `${kind} ${id}: ${from ?? "made"} → ${to}, attempt ${attempt}`,
      })),
    ...history.leases
      .filter(({ taskId }) => about(taskId))
      .map(({ answered, host, attempt }) => ({
        at: answered,
        what: `${host} was given attempt ${attempt}`,
      })),
    ...history.reports
      .filter(({ taskId }) => about(taskId))
      .map(({ sent, kind, attempt, status, copy, result }) => ({
        at: sent,
        what: `${kind} of attempt ${attempt}${copy ? ", sent again" : ""}${result ? ` (${result.outcome})` : ""}: ${status || "no answer"}`,
      })),
    ...history.rsyncs
      .filter(({ host, destination }) => about(`${host} ${destination}`))
      .flatMap(({ started, ended, destination }) => [
        { at: started, what: `rsync to ${destination} began` },
        { at: ended ?? started, what: `rsync to ${destination} ${ended ? "ended" : "was killed"}` },
      ]),
  ];
  const times = events.map((event) => event.at);
  if (at < Number.MAX_SAFE_INTEGER) times.push(at);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const faults = history.faults.filter(
    (fault) => fault.at > first - 5000 && fault.at < last + 1000,
  );
  const all = [
    ...events,
    ...faults.map(({ at, what }) => ({ at, what: `FAULT ${what}` })),
  ].toSorted((left, right) => left.at - right.at);
  // Around the violation, where it has a time; else the end.
  const centre =
    at < Number.MAX_SAFE_INTEGER ? all.findIndex((event) => event.at >= at) : all.length;
  const from = Math.max(0, Math.min(centre - longest / 2, all.length - longest));
  return all
    .slice(from, from + longest)
    .map((event) => `  ${new Date(event.at).toISOString().slice(11, 23)}  ${event.what}`);
}
