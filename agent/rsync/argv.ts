import type { RsyncLimits, RsyncOptions, Source } from "../../protocol/rsync.ts";
import { connectionArgs, connectionOf, operandOf } from "./connection.ts";
import { changeFormat } from "./itemize.ts";
import { moduleOf } from "./listed.ts";
import { stagingName } from "./staging.ts";

/** Seconds to wait for the source's daemon to take the connection. */
const connectTimeoutSeconds = 60;

/** A file below the destination that is this host's own: never deleted; `alone`: the source's does not come, either. */
export type Own = { path: string; alone: boolean };

/** One rsync: from where, how, within which limits, and around which own file. */
export type Pull = {
  source: Source;
  options: RsyncOptions;
  limits: RsyncLimits;
  own: Own | null;
};

/**
 * What every rsync of a project's files has: how they come, and within which limits. `atOnce`: each into
 * its place when it is whole, not all in the end, which takes twice as long.
 */
const transferOptions = (
  { source, options, limits }: Pull,
  { atOnce }: { atOnce: boolean },
): string[] => [
  // --archive without owner, group and devices: a mirror's files belong to the agent's user.
  "--links",
  "--perms",
  // A file that runs as its owner would run as the agent, for whoever is logged in here; directories keep theirs.
  "--chmod=Fug-s",
  "--times",
  ...(options.hardLinks ? ["--hard-links"] : []),
  "--no-devices",
  "--no-specials",
  atOnce ? `--partial-dir=${stagingName}` : "--delay-updates",
  ...(options.bandwidthKiBps === null ? [] : [`--bwlimit=${options.bandwidthKiBps}`]),
  `--timeout=${limits.stallSeconds}`,
  `--contimeout=${connectTimeoutSeconds}`,
  ...connectionArgs(connectionOf({ source, options })),
  "--outbuf=L",
  "--no-human-readable",
  "--info=progress2,stats2",
  `--out-format=${changeFormat}`,
];

/**
 * Arguments of an rsync of the paths that a file names (see listed.ts), NUL after each, and of nothing below them: "." must not be among them; one
 * that the source does not have is passed over. Pure. The sender is trusted as it is in a scan: it chooses what lies in the tree, never beside it. Without
 * that, rsync 3.5 checks each name against all of the others.
 */
export const pathsArgv = ({
  pull,
  destination,
  pathsFile,
  atOnce,
}: {
  pull: Pull;
  destination: string;
  pathsFile: string;
  atOnce: boolean;
}): string[] => [
  ...transferOptions(pull, { atOnce }),
  "--no-implied-dirs",
  "--trust-sender",
  "--from0",
  `--files-from=${pathsFile}`,
  "--ignore-missing-args",
  "--",
  moduleOf(pull.source),
  `${destination}/`,
];

/**
 * Arguments of an rsync of a tree's top directory alone, its mode and times, and of nothing in it; pure.
 * Among listed paths it would bring all that lies directly in it.
 */
export const topArgv = ({ pull, destination }: { pull: Pull; destination: string }): string[] => [
  ...transferOptions(pull, { atOnce: true }),
  "--dirs",
  "--filter=- /*",
  "--",
  operandOf(pull.source),
  `${destination}/`,
];

/**
 * Arguments of an rsync of a whole tree; pure. `destination` is absolute and resolved; `maxDelete` is the value of
 * `--max-delete`, "list" only lists what would change; null: there is nothing to delete, and rsync need not look.
 * Options come first, both operands after `--`.
 */
export function buildArgv({
  pull,
  destination,
  maxDelete,
  atOnce,
  backupDirectory,
  without = [],
}: {
  pull: Pull;
  destination: string;
  maxDelete: number | "list" | null;
  atOnce: boolean;
  /** Where what this pass deletes or replaces goes; left out: nowhere. */
  backupDirectory?: string | undefined;
  /** Patterns to leave alone in this pass, before all other filters. */
  without?: string[];
}): string[] {
  const { source, options, own } = pull;
  const deletes = options.delete && maxDelete !== null;
  return [
    "--recursive",
    // The whole list first: what is to come is known from the start, and looked at faster than bit by bit.
    "--no-inc-recursive",
    ...transferOptions(pull, { atOnce }),
    ...(deletes ? ["--delete-after"] : []),
    ...(maxDelete === "list" ? ["--dry-run"] : []),
    ...(deletes && maxDelete !== "list" ? [`--max-delete=${maxDelete}`] : []),
    ...(backupDirectory === undefined ? [] : ["--backup", `--backup-dir=${backupDirectory}`]),
    // "p": with a directory that the source no longer has it goes. "r": only the receiver minds it.
    ...(own === null ? [] : [`--filter=-${own.alone ? "p" : "rp"} /${own.path}`]),
    ...without.map((pattern) => `--filter=- ${pattern}`),
    ...options.filters.map(
      ({ action, pattern }) => `--filter=${action === "include" ? "+" : "-"} ${pattern}`,
    ),
    "--",
    operandOf(source),
    `${destination}/`,
  ];
}
