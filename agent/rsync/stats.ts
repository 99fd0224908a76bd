import type { SyncStats } from "../../protocol/report.ts";

const labels: Record<keyof SyncStats, string> = {
  files: "Number of files",
  created: "Number of created files",
  deleted: "Number of deleted files",
  transferred: "Number of regular files transferred",
  totalBytes: "Total file size",
  transferredBytes: "Total transferred file size",
  literalBytes: "Literal data",
  matchedBytes: "Matched data",
  sentBytes: "Total bytes sent",
  receivedBytes: "Total bytes received",
};

const linePattern = /^([A-Z][A-Za-z ]+): ([\d,]+)(?: bytes| \(|$)/;

/** Takes one line of `--stats` into `stats`; true when it was one. */
export function collectStat(stats: Partial<SyncStats>, line: string): boolean {
  const match = linePattern.exec(line);
  if (!match) return false;
  const key = (Object.keys(labels) as (keyof SyncStats)[]).find(
    (name) => labels[name] === match[1],
  );
  const value = Number(match[2]!.replaceAll(",", ""));
  if (!key || !Number.isSafeInteger(value)) return false;
  stats[key] = value;
  return true;
}

const zero = Object.fromEntries(Object.keys(labels).map((key) => [key, 0])) as SyncStats;

/** Statistics of so many deletions, and nothing else. */
export const deletedStats = (deleted: number): SyncStats => ({ ...zero, deleted });

/** Complete statistics; null where rsync did not get as far as printing them. */
export function completeStats(stats: Partial<SyncStats>): SyncStats | null {
  if (stats.files === undefined || stats.totalBytes === undefined) return null;
  return { ...zero, ...stats };
}
