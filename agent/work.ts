import type { SyncSpec } from "../protocol/order.ts";
import { nothingDone, type Report } from "../protocol/report.ts";
import { eventByOutcome } from "../protocol/states.ts";
import type { AgentCtx } from "./context.ts";
import { checkMarker, chooseRoot, holdDestination, resolveDestination } from "./destination.ts";
import { type Input, pullStep } from "./pull-step.ts";
import { newQuarantineEntry } from "./quarantine.ts";
import { watchRoom, whyNoRoom } from "./room.ts";
import { noteBegin, noteEnd, noteFailure, removeStaging } from "./rsync/staging.ts";
import { addTrees } from "./rsync/sync.ts";
import { journalOf, type Place, type Site } from "./site.ts";
import { undoTask } from "./undo-task.ts";

function together(first: Report | undefined, second: Report): Report {
  if (!first) return second;
  return {
    ...second,
    // A warning of one step is one of the whole.
    outcome: second.outcome === "ok" ? first.outcome : second.outcome,
    message: second.message || first.message,
    changes: first.changes + second.changes,
    stats: addTrees(first.stats, second.stats),
    seconds: first.seconds + second.seconds,
    scanned: first.scanned && second.scanned,
  };
}

/** Where each step goes; all of them before the first begins: an order of which a part is refused changes nothing. */
async function placesOf(sync: SyncSpec, { mirrorRoot }: { mirrorRoot: string }): Promise<Place[]> {
  const places: Place[] = [];
  for (const step of sync.steps) {
    const destination = await resolveDestination({ mirrorRoot, destination: step.destination });
    places.push({ step, destination });
  }
  return places;
}

/** The steps in their order, up to the first that fails; what rsyncs before them left is removed in the end. */
async function runSteps(ctx: AgentCtx, site: Site): Promise<Report> {
  let result: Report | undefined;
  const { quarantine, places, input } = site;
  const { project } = input.sync;
  const { stateDir } = ctx.config;
  const before = await noteBegin({ stateDir, project });
  const journal = await journalOf(ctx, site);
  const keep =
    quarantine === null ? null : newQuarantineEntry({ quarantine, project, now: new Date() });
  try {
    for (const { step, destination } of places) {
      const held = await holdDestination({ destination });
      try {
        const inner = { ...ctx, config: { ...ctx.config, holding: held.fd } };
        const done = await pullStep(inner, {
          step,
          destination,
          input,
          journal,
          keep,
          killed: before === "killed",
        });
        result = together(result, done);
      } finally {
        await held.release();
      }
      if (eventByOutcome[result.outcome] !== "succeed") break;
    }
    if (eventByOutcome[result!.outcome] !== "succeed") {
      if (result!.exitCode !== null && before !== "killed")
        await noteFailure({ stateDir, project });
      return result!;
    }
    if (before !== null) for (const place of places) await removeStaging(place);
    await noteEnd({ stateDir, project });
    return journal ? { ...result!, ...(await journal.publish()) } : result!;
  } finally {
    await journal?.close();
  }
}

/** Where what is deleted below a mirror root goes; null: nowhere. */
const quarantineOf = ({ config }: AgentCtx, { root }: { root: string }) =>
  config.quarantines?.[config.mirrorRoots.indexOf(root)] ?? null;

/**
 * Does what a checked order says: its steps in order, each on a destination that it holds alone, up to
 * the first that fails; not on a disk that is not there or has no room, and no longer than it has.
 * @throws AppError `order-refused`, `conflict`, `unavailable`.
 */
export async function workOn(ctx: AgentCtx, input: Input): Promise<Report> {
  const { minFreePercent, rootMarker } = ctx.config;
  const root = chooseRoot({ ...ctx.config, root: input.sync.root });
  await checkMarker({ root, rootMarker });
  const noRoom = await whyNoRoom({ root, minFreePercent });
  if (noRoom !== null) return { ...nothingDone, outcome: "retryable", message: noRoom };
  const places = await placesOf(input.sync, { mirrorRoot: root });
  const room = watchRoom({ root, minFreePercent });
  try {
    const signal = AbortSignal.any([input.signal, room.full]);
    const site = {
      root,
      quarantine: quarantineOf(ctx, { root }),
      places,
      input: { ...input, signal },
    };
    const result = await (input.sync.undo === null ? runSteps(ctx, site) : undoTask(ctx, site));
    // Its reason is a text of ours.
    if (result.outcome === "interrupted" && room.full.aborted)
      return { ...result, outcome: "retryable", message: `ended: ${String(room.full.reason)}` };
    return result;
  } finally {
    room.stop();
  }
}
