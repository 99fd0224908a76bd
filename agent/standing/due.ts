import type { StandingClaims } from "../../protocol/standing.ts";

/** Seconds after which an occurrence counts as missed. */
const misfireGraceSeconds = 60;

/**
 * The occurrence that a standing order has due now: the latest of those after `after` that this host may
 * begin; earlier ones are missed. null: none. Pure; seconds since 1970.
 */
export function dueOccurrence({
  claims: { occurrences, delaySeconds, misfire },
  after,
  now,
}: {
  claims: Pick<StandingClaims, "occurrences" | "delaySeconds" | "misfire">;
  after: number;
  now: number;
}): number | null {
  const latest = occurrences.findLast((at) => at + delaySeconds <= now);
  if (latest === undefined || latest <= after) return null;
  const late = now - latest - delaySeconds;
  return misfire === "skip" && late > misfireGraceSeconds ? null : latest;
}
