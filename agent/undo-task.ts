import { nothingDone, type Report } from "../protocol/report.ts";
import type { AgentCtx } from "./context.ts";
import { holdDestination, resolveDestination } from "./destination.ts";
import { journalOf, type Site } from "./site.ts";
import { undoDeletions } from "./undo.ts";

/** Brings back what was deleted last. Its generation has no list: hosts scan, which keeps hard links exact. */
export async function undoTask(ctx: AgentCtx, site: Site): Promise<Report> {
  const { root, quarantine, places, input } = site;
  const { project, path } = input.sync;
  const started = performance.now();
  if (quarantine === null)
    return {
      ...nothingDone,
      outcome: "fatal",
      message:
        "nothing can be brought back: deleted files are kept where MIRRORFLEET_QUARANTINES is set",
    };
  const held: { release: () => Promise<void> }[] = [];
  const journal = await journalOf(ctx, site);
  try {
    for (const { destination } of places) held.push(await holdDestination({ destination }));
    await journal?.begin();
    const destination = await resolveDestination({ mirrorRoot: root, destination: path });
    const { onLine } = input;
    const done = await undoDeletions({ quarantine, project, destination, onLine });
    await journal?.end({ clean: false });
    return {
      ...nothingDone,
      outcome: done ? "ok" : "fatal",
      message: done
        ? `brought back ${done.restored} entries${done.left > 0 ? `; ${done.left} stay in ${done.entry}, for something has their names` : ""}`
        : `nothing of this project is in ${quarantine}`,
      changes: done?.restored ?? 0,
      seconds: Math.round(performance.now() - started) / 1000,
    };
  } finally {
    for (const each of held) await each.release();
    await journal?.close();
  }
}
