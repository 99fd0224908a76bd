import {
  formatRsyncUrl,
  type RsyncLimits,
  type RsyncOptions,
  type Source,
} from "../../protocol/rsync.ts";
import { changeFormat } from "./itemize.ts";

/** Seconds to wait for the source's daemon to take the connection. */
const connectTimeoutSeconds = 60;

/** One rsync: from where, how, and within which limits. */
export type Pull = { source: Source; options: RsyncOptions; limits: RsyncLimits };

/** What every rsync of a project's files has: how they come, and within which limits. */
const transferOptions = ({ options, limits }: Omit<Pull, "source">): string[] => [
  // --archive without owner, group and devices: a mirror's files belong to the agent's user.
  "--links",
  "--perms",
  "--times",
  ...(options.hardLinks ? ["--hard-links"] : []),
  "--no-devices",
  "--no-specials",
  "--delay-updates",
  ...(options.bandwidthKiBps === null ? [] : [`--bwlimit=${options.bandwidthKiBps}`]),
  `--timeout=${limits.stallSeconds}`,
  `--contimeout=${connectTimeoutSeconds}`,
  // rsync speaks in small turns: with Nagle's algorithm a sync of one file takes 113 ms on loopback, not 12.
  "--sockopts=TCP_NODELAY",
  "--outbuf=L",
  "--no-human-readable",
  "--info=progress2,stats2",
  `--out-format=${changeFormat}`,
];

/**
 * Arguments of an rsync of the paths that a file names, NUL after each, and of nothing below them; pure.
 * The sender is trusted as it is in a scan: it chooses what lies in the tree, never beside it. Without
 * that, rsync 3.5 checks each name against all of the others.
 */
export const pathsArgv = ({
  pull,
  destination,
  pathsFile,
  more,
}: {
  pull: Pull;
  destination: string;
  pathsFile: string;
  more: string[];
}): string[] => [
  ...transferOptions(pull),
  "--no-implied-dirs",
  "--trust-sender",
  "--from0",
  `--files-from=${pathsFile}`,
  ...more,
  "--",
  formatRsyncUrl(pull.source),
  `${destination}/`,
];

/**
 * Arguments of an rsync of a whole tree; pure. `destination` is absolute and resolved; `maxDelete` is the value of
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
  const { source, options } = pull;
  return [
    "--recursive",
    ...transferOptions(pull),
    ...(options.delete ? ["--delete-after"] : []),
    ...(maxDelete === "list" ? ["--dry-run"] : []),
    ...(options.delete && maxDelete !== "list" ? [`--max-delete=${maxDelete}`] : []),
    ...without.map((pattern) => `--filter=- ${pattern}`),
    ...options.filters.map(
      ({ action, pattern }) => `--filter=${action === "include" ? "+" : "-"} ${pattern}`,
    ),
    "--",
    formatRsyncUrl(source),
    `${destination}/`,
  ];
}
