import type { DryRun } from "../protocol/report.ts";
import type { RunDetail } from "../protocol/run.ts";
import { harmless, size } from "./format.ts";

const kinds = [
  ["created", "+"],
  ["changed", "~"],
  ["deleted", "-"],
] as const;

/** Counts, then some paths of each kind, each behind its mark. */
function wouldText(would: DryRun): string {
  const counts = kinds.map(([kind]) => `${would[kind].entries} ${kind}`).join(", ");
  const paths = kinds.flatMap(([kind, mark]) => {
    const { entries, examples } = would[kind];
    const more = entries - examples.length;
    const named = examples.map((path) => `${mark} ${harmless(path)}`);
    return more > 0 ? named.concat(`${mark} … and ${more} more`) : named;
  });
  return [
    `a sync would leave: ${counts}; files of ${size(would.bytes)} to fetch, of ${size(would.totalBytes)} in ${would.files} entries`,
    ...(would.held === null ? [] : [`it would hold the deletions: ${harmless(would.held)}`]),
    ...paths,
  ].join("\n");
}

/** What a dry run found, or why it found nothing. */
export function dryRunText({ id, state, reason, tasks }: RunDetail): string {
  const result = tasks[0]?.result;
  if (result?.dryRun) return `run ${id}: nothing was changed\n${wouldText(result.dryRun)}`;
  return [`run ${id}: ${state}`, reason, result?.message]
    .filter(Boolean)
    .map((text) => harmless(text!))
    .join(": ");
}
