import { missedBefore } from "../missed.ts";
import type { History, Violation } from "../history.ts";

/** Milliseconds by which two clocks' readings of one moment may differ. */
const tolerance = 100;

/** Each occurrence is one run, or skipped with a reason; none twice. */
export function checkOccurrences({ schedules, runs }: History): Violation[] {
  return schedules.flatMap(({ project, everySeconds, from, until }) => {
    const found = runs.filter((run) => run.project === project && run.trigger === "schedule");
    const every = everySeconds * 1000;
    const violations: Violation[] = [];
    const violate = (at: number, what: string, ids: string[]) =>
      violations.push({ rule: "occurrences", what: `${project}: ${what}`, at, ids });
    for (
      let at = Math.ceil((from + tolerance) / every) * every;
      at <= until - tolerance;
      at += every
    ) {
      const own = found.filter((run) => run.scheduledFor === at);
      const covering = found.filter(
        (run) => run.scheduledFor < at && at < (missedBefore(run) ?? 0),
      );
      const time = new Date(at).toISOString();
      if (own.length + covering.length === 0) violate(at, `the occurrence of ${time} is lost`, []);
      if (own.length + covering.length > 1)
        violate(at, `the occurrence of ${time} counts ${own.length + covering.length} times`, [
          ...own.map(({ id }) => id),
          ...covering.map(({ id }) => id),
        ]);
    }
    for (const run of found)
      if (run.state === "skipped" && !run.reason)
        violate(run.scheduledFor, `run ${run.id} is skipped without a reason`, [run.id]);
    return violations;
  });
}

/** Each accepted trigger is followed by a run that began after it; the same one however often it was sent. */
export function checkTriggers({ triggers, runs, rsyncs, tasks }: History): Violation[] {
  const violations: Violation[] = [];
  for (const { project, key, asked, runIds } of triggers) {
    const violate = (what: string, ids: string[]) =>
      violations.push({ rule: "triggers", what: `${project}: ${what}`, at: asked, ids });
    const [id] = runIds;
    if (id === undefined) continue;
    if (runIds.some((other) => other !== id))
      violate(`trigger ${key}, sent again, made another run`, runIds);
    const run = runs.find((each) => each.id === id);
    if (!run) violate(`run ${id} of an accepted trigger is lost`, [id]);
    else if (run.state === "skipped") violate(`an accepted trigger was skipped`, [id]);
    else if (run.state !== "cancelled" && (run.startedAt ?? asked) < asked - tolerance)
      violate(`run ${id} had begun before its trigger`, [id]);
    else if (run.state === "succeeded") {
      const pulled = tasks.some((task) => task.runId === id && task.host === "master");
      const began = rsyncs.some(
        (rsync) =>
          rsync.host === "master" &&
          rsync.destination.includes(`/${project}`) &&
          rsync.started >= asked - tolerance,
      );
      if (pulled && !began) violate(`no rsync began after the trigger`, [id]);
    }
  }
  return violations;
}
