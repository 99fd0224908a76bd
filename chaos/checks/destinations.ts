import type { History, Violation } from "../history.ts";

/** /proc/uptime counts in hundredths of a second, rounded down. */
const resolution = 20;

/** At most one rsync at a time on a destination of a host. */
export function checkDestinations({ rsyncs }: History): Violation[] {
  const violations: Violation[] = [];
  for (const [place, group] of Map.groupBy(rsyncs, (each) => `${each.host} ${each.destination}`)) {
    const ordered = group.toSorted((left, right) => left.started - right.started);
    let last: (typeof ordered)[number] | undefined;
    for (const rsync of ordered) {
      const overlaps = last?.ended != null && rsync.started < last.ended - resolution;
      if (rsync.besideAnother || overlaps)
        violations.push({
          rule: "destinations",
          what: `two rsyncs at a time on ${place}`,
          at: rsync.started,
          ids: [place],
        });
      if (!last || (rsync.ended ?? 0) >= (last.ended ?? 0)) last = rsync;
    }
  }
  return violations;
}

/** After quiet each FTP host's tree equals its master's. */
export const checkTrees = ({ trees }: History): Violation[] =>
  trees
    .filter(({ differences }) => differences.length > 0)
    .map(({ project, host, when, differences }) => ({
      rule: "trees",
      what: `${project} on ${host} differs ${when}: ${differences.slice(0, 3).join("; ")}`,
      at: Number.MAX_SAFE_INTEGER,
      ids: [project, host],
    }));
