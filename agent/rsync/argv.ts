import {
  formatRsyncUrl,
  type RsyncLimits,
  type RsyncOptions,
  type Source,
} from "../../protocol/rsync.ts";

/** Seconds to wait for the source's daemon to take the connection. */
const connectTimeoutSeconds = 60;

/** One rsync: from where, how, and within which limits. */
export type Pull = { source: Source; options: RsyncOptions; limits: RsyncLimits };

/**
 * Arguments of one rsync; pure. `destination` is absolute and resolved; `maxDelete` is the value of
 * `--max-delete`, "list" only lists what would change. Options come first, both operands after `--`.
 */
export function buildArgv({
  pull,
  destination,
  maxDelete,
  without = [],
}: {
  pull: Pull;
  destination: string;
  maxDelete: number | "list";
  /** Patterns to leave alone in this pass, before all other filters. */
  without?: string[];
}): string[] {
  const { source, options, limits } = pull;
  return [
    // --archive without owner, group and devices: a mirror's files belong to the agent's user.
    "--recursive",
    "--links",
    "--perms",
    "--times",
    ...(options.hardLinks ? ["--hard-links"] : []),
    "--no-devices",
    "--no-specials",
    "--delay-updates",
    ...(options.delete ? ["--delete-after"] : []),
    ...(maxDelete === "list" ? ["--dry-run"] : []),
    ...(options.delete && maxDelete !== "list" ? [`--max-delete=${maxDelete}`] : []),
    ...without.map((pattern) => `--filter=- ${pattern}`),
    ...options.filters.map(
      ({ action, pattern }) => `--filter=${action === "include" ? "+" : "-"} ${pattern}`,
    ),
    ...(options.bandwidthKiBps === null ? [] : [`--bwlimit=${options.bandwidthKiBps}`]),
    `--timeout=${limits.stallSeconds}`,
    `--contimeout=${connectTimeoutSeconds}`,
    "--outbuf=L",
    "--no-human-readable",
    "--info=progress2,stats2",
    "--out-format=%i %n%L",
    "--",
    formatRsyncUrl(source),
    `${destination}/`,
  ];
}
