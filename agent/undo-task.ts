import { nothingDone, type Report } from "../protocol/report.ts";
import type { AgentCtx } from "./context.ts";
import { resolveDestination } from "./destination.ts";
import { holdDestination } from "./hold.ts";
import { journalOf, type Site } from "./site.ts";
import { entryToUndo, undoDeletions } from "./undo.ts";

/** Brings back what was deleted last. Its generation has no list: hosts scan, which keeps hard links exact. */
export async function undoTask(ctx: AgentCtx, site: Site): Promise<Report> {
  const { root, quarantine, places, input } = site;
  const { project, path, undo } = input.sync;
  const started = performance.now();
  const nothing = (message: string): Report => ({ ...nothingDone, outcome: "fatal", message });
  if (quarantine === null)
    return nothing(
      "nothing can be brought back: deleted files are kept where MIRRORFLEET_QUARANTINES is set",
    );
  const { stateDir } = ctx.config;
  const held: { release: () => Promise<void> }[] = [];
  const journal = await journalOf(ctx, site);
  try {
    for (const { destination } of places) held.push(await holdDestination({ destination }));
    const entry = await entryToUndo({ stateDir, quarantine, project, undo: undo! });
    if (entry === null) return nothing(`nothing of this project is in ${quarantine}`);
    await journal?.begin();
    const destination = await resolveDestination({ mirrorRoot: root, destination: path });
    const { restored, left } = await undoDeletions({ entry, destination, onLine: input.onLine });
    await journal?.end({ clean: false });
    const rest = left > 0 ? `; ${left} stay in quarantine, for something has their names` : "";
    return {
      ...nothingDone,
      outcome: "ok",
      message: `brought back ${restored} ${restored === 1 ? "entry" : "entries"}${rest}`,
      changes: restored,
      seconds: Math.round(performance.now() - started) / 1000,
    };
  } finally {
    for (const each of held) await each.release();
    await journal?.close();
  }
}
