import type { DryRun, Report } from "../protocol/report.ts";
import { formatRsyncUrl } from "../protocol/rsync.ts";
import { eventByOutcome } from "../protocol/states.ts";
import type { AgentCtx } from "./context.ts";
import { holdDestination } from "./hold.ts";
import { belowProject, ownOf, unreachableCodes } from "./pull-step.ts";
import { dryRunTree } from "./rsync/dry-run.ts";
import { openSealed } from "./sealed.ts";
import type { Place, Site } from "./site.ts";

const keptExamples = 20;

/** What two parts of a project would do; each names the paths of its own place below the project. */
function together(first: DryRun | undefined, second: DryRun | undefined): DryRun | undefined {
  if (!first || !second) return second ?? first;
  const both = (kind: "created" | "changed" | "deleted") => ({
    entries: first[kind].entries + second[kind].entries,
    examples: [...first[kind].examples, ...second[kind].examples].slice(0, keptExamples),
  });
  return {
    created: both("created"),
    changed: both("changed"),
    deleted: both("deleted"),
    bytes: first.bytes + second.bytes,
    files: first.files + second.files,
    totalBytes: first.totalBytes + second.totalBytes,
    held:
      [first.held, second.held]
        .filter((why) => why !== null)
        .join("; ")
        .slice(0, 1000) || null,
  };
}

const summary = ({ created, changed, deleted, held }: DryRun) =>
  `dry run, nothing was changed: a sync would create ${created.entries}, change ${changed.entries} and delete ${deleted.entries} ${deleted.entries === 1 ? "entry" : "entries"}${held === null ? "" : `; it would hold the deletions: ${held}`}`;

/** One step: what its first source that can be reached says. */
async function listStep(
  ctx: AgentCtx,
  { input }: Site,
  { step, destination }: Place,
): Promise<Report> {
  const { sync, ...run } = input;
  const held = await holdDestination({ destination });
  try {
    let last: Report | undefined;
    for (const { source, sealedPassword } of step.sources) {
      if (last) input.onLine(`${last.message}; trying the next source`);
      const password =
        sealedPassword === null ? null : await openSealed(ctx, { sealed: sealedPassword });
      input.onLine(`dry run: what ${formatRsyncUrl(source)} would change in ${destination}`);
      const { options, limits } = sync;
      last = await dryRunTree(
        { ...ctx.config, holding: held.fd },
        {
          ...run,
          pull: { source, options, limits, own: ownOf(ctx, { step, input }) },
          destination,
          password,
          below: belowProject({ step, input }),
        },
      );
      if (!unreachableCodes.has(last.exitCode ?? 0) || input.signal.aborted) break;
    }
    return last!;
  } finally {
    await held.release();
  }
}

/** Lists what each step would do, up to the first that fails; changes nothing in tree, journal or memory of this host. */
export async function dryRunTask(ctx: AgentCtx, site: Site): Promise<Report> {
  let result: Report | undefined;
  for (const place of site.places) {
    const listed = await listStep(ctx, site, place);
    const dryRun = together(result?.dryRun, listed.dryRun);
    const { dryRun: _own, ...rest } = listed;
    const seconds = (result?.seconds ?? 0) + listed.seconds;
    result = { ...rest, seconds, ...(dryRun && { dryRun }) };
    if (eventByOutcome[listed.outcome] !== "succeed") return { ...rest, seconds };
  }
  return result!.dryRun
    ? { ...result!, message: [result!.message, summary(result!.dryRun)].filter(Boolean).join("; ") }
    : result!;
}
