/** Time before which a skipped run stands for all occurrences from its own on; null where for its own alone. */
export function missedBefore({
  state,
  reason,
}: {
  state: string;
  reason: string | null;
}): number | null {
  const until =
    state === "skipped" ? /^missed, with all that were due before (\S+)/.exec(reason ?? "") : null;
  return until ? Date.parse(until[1]!) : null;
}
