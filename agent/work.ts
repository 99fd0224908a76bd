import type { SyncSpec } from "../protocol/order.ts";
import { nothingDone, type Report } from "../protocol/report.ts";
import type { Source } from "../protocol/rsync.ts";
import { eventByOutcome } from "../protocol/states.ts";
import type { Journal } from "./changes/journal.ts";
import type { AgentCtx } from "./context.ts";
import { checkMarker, chooseRoot, resolveDestination } from "./destination.ts";
import { holdDestination } from "./hold.ts";
import { dryRunTask } from "./dry-run-task.ts";
import { type Input, pullStep } from "./pull-step.ts";
import { newQuarantineEntry } from "./quarantine.ts";
import { watchRoom, whyNoRoom } from "./room.ts";
import { createdLine } from "./rsync/itemize.ts";
import { noteBegin, noteEnd, noteFailure, removeStaging } from "./rsync/staging.ts";
import { addTrees } from "./rsync/sync.ts";
import { journalOf, type Place, type Site } from "./site.ts";
import { leaveTrace, traceFileOf } from "./trace-file.ts";
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
    const destination = await resolveDestination({
      mirrorRoot,
      destination: step.destination,
      make: !sync.dryRun,
    });
    places.push({ step, destination });
  }
  return places;
}

/**
 * Leaves the trace file. A master's Debian one is part of what its hosts get: it changes with the rest of
 * that, never alone; only the first one is a change by itself.
 */
async function withTrace(
  ctx: AgentCtx,
  { root, input: { sync } }: Site,
  {
    report,
    journal,
    ...run
  }: { report: Report; journal: Journal | null; sources: Source[]; startedAt: Date },
): Promise<Report> {
  const path = traceFileOf(sync, ctx.identity);
  if (path === null) return report;
  const published = sync.trace?.style === "debian" ? journal : null;
  const ifMissing = published?.isEmpty() ?? false;
  await published?.begin();
  const { written, trouble } = await leaveTrace(ctx, { root, sync, report, ifMissing, ...run });
  if (written) published?.add({ below: "", line: createdLine(path) });
  await published?.end({ clean: true });
  return { ...report, message: [report.message, trouble].filter(Boolean).join("; ") };
}

/** The steps in their order, up to the first that fails; what rsyncs before them left is removed in the end. */
async function runSteps(ctx: AgentCtx, site: Site): Promise<Report> {
  let result: Report | undefined;
  const { quarantine, places, input } = site;
  const { project } = input.sync;
  const startedAt = new Date();
  const sources: Source[] = [];
  const { stateDir } = ctx.config;
  const before = await noteBegin({ stateDir, project });
  let killed = before === "killed";
  const onKilled = () => {
    killed = true;
  };
  const journal = await journalOf(ctx, site);
  const keep =
    quarantine === null ? null : newQuarantineEntry({ quarantine, project, now: new Date() });
  try {
    for (const { step, destination } of places) {
      const held = await holdDestination({ destination });
      try {
        const inner = { ...ctx, config: { ...ctx.config, holding: held.fd, onKilled } };
        const done = await pullStep(inner, {
          step,
          destination,
          input,
          journal,
          keep,
          killed,
        });
        result = together(result, done.result);
        sources.push(done.source);
      } finally {
        await held.release();
      }
      if (eventByOutcome[result.outcome] !== "succeed") break;
    }
    if (eventByOutcome[result!.outcome] !== "succeed") {
      if (!killed) await noteFailure({ stateDir, project });
      return result!;
    }
    if (before !== null) for (const place of places) await removeStaging(place);
    // Before the end is noted: killed meanwhile, the next sync compares the whole tree.
    const report = await withTrace(ctx, site, { report: result!, sources, startedAt, journal });
    await noteEnd({ stateDir, project });
    return journal ? { ...report, ...(await journal.publish()) } : report;
  } finally {
    await journal?.close();
  }
}

/** What an order asks for: to list, to bring back, or to pull. */
function kindOf({ dryRun, undo }: SyncSpec) {
  if (dryRun) return dryRunTask;
  return undo === null ? runSteps : undoTask;
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
    const result = await kindOf(input.sync)(ctx, site);
    // Its reason is a text of ours.
    if (result.outcome === "interrupted" && room.full.aborted)
      return { ...result, outcome: "retryable", message: `ended: ${String(room.full.reason)}` };
    return result;
  } finally {
    room.stop();
  }
}
