import { parseArgs } from "node:util";
import type { ProjectCreate } from "../../protocol/project.ts";
import { belowTop, type FilterOption, readFilters } from "./filters.ts";
import type { NoteTaker } from "./report.ts";
import { parseOptions, rsyncOptions } from "./rsync-options.ts";
import { limitsOf, maxDeleteOf } from "./rsync-limits.ts";
import { sourceOf } from "./rsync-source.ts";
import { wordsWithoutSecrets } from "./secrets.ts";
import { unknown } from "./shell-words.ts";

export type RsyncCtx = {
  take: NoteTaker;
  readText: (path: string) => string | null;
};

/** A pull as an old rsync made it. */
export type Pull = {
  /** Absolute path that the source's files came into. */
  destination: string;
  fields: Pick<ProjectCreate, "upstream" | "login" | "rsync" | "stallSeconds" | "wallClockSeconds">;
};

type Given = { name: string; value: string; raw: string };

const shown = (text: string) => text.replaceAll(unknown, "…");
const filterNames = new Set(["filter", "exclude", "include", "exclude-from", "include-from"]);
const deleting = new Set([
  "del",
  "delete",
  "delete-before",
  "delete-during",
  "delete-delay",
  "delete-after",
  "delete-excluded",
]);

/** Splits an rsync's arguments as rsync itself does. */
function split(argv: string[]): { given: Given[]; operands: string[] } {
  const { tokens, positionals } = parseArgs({
    args: argv,
    options: parseOptions,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const given = tokens.flatMap((token) =>
    token.kind === "option"
      ? [{ name: token.name, value: token.value ?? "", raw: shown(token.rawName) }]
      : [],
  );
  return { given, operands: positionals };
}

/** Notes what becomes of options that have no field; answers whether a project can be made, and may delete. */
function judge({ take }: RsyncCtx, given: Given[]): { possible: boolean; keeps: boolean } {
  let possible = true;
  let keeps = false;
  const own: string[] = [];
  for (const { name, raw, value } of given) {
    const option = rsyncOptions.get(name);
    if (option === undefined) {
      possible = false;
      take.impossible(
        raw,
        "is no option of rsync that is known here: take it out, or write the project by hand",
      );
    } else if (option.meaning === "own") own.push(raw);
    else if (option.meaning === "differs") take.changed(raw, `left out: ${option.why}`);
    else if (option.meaning === "refused") {
      possible = false;
      take.impossible(`${raw} ${shown(value)}`.trim(), option.why!);
    } else if (option.meaning === "keeps") {
      keeps = true;
      take.changed(raw, `nothing is deleted: ${option.why}`);
    }
  }
  if (own.length > 0)
    take.taken(
      [...new Set(own)].join(" "),
      "left out: mirrorfleet does it by itself, or the tree is the same",
    );
  return { possible, keeps };
}

/**
 * Reads an rsync's arguments (without the program) as the pull that they make; null where there can be no
 * project, which the notes explain. Never deletes more than the rsync did.
 */
export function readRsync(
  ctx: RsyncCtx,
  {
    argv,
    directory,
    tls = false,
  }: { argv: string[]; directory?: string | undefined; tls?: boolean },
): Pull | null {
  const { take } = ctx;
  const { given, operands } = split(argv);
  const last = (name: string) => given.findLast((each) => each.name === name)?.value;
  const has = (...names: string[]) => given.some(({ name }) => names.includes(name));
  const command = shown(wordsWithoutSecrets(["rsync", ...argv])).slice(0, 200);
  const refuse = (why: string): null => {
    take.impossible(command, why);
    return null;
  };
  if (has("dry-run", "list-only", "version")) return refuse("it mirrors nothing");
  if (operands.some((operand) => operand.includes(unknown)) || last("port")?.includes(unknown))
    return refuse(
      "source, destination or options are only known when it runs: write the project by hand",
    );
  if (operands.length !== 2)
    return refuse(
      `it has ${operands.length} operands, not a source and a destination: write a project for each source`,
    );
  const [from = "", to = ""] = operands;
  if (has("rsh"))
    return refuse("its source is behind a shell of its own (ssh): ask for an rsync daemon");
  const source = sourceOf(from, { port: last("port"), tls });
  if (typeof source === "string") return refuse(source);
  if (/^[^/]*:/.test(to))
    return refuse("it pushes to another host: make that an FTP host, which pulls by itself");
  const base = to.startsWith("/") ? to : directory && `${directory}/${to}`;
  if (!base) return refuse("its destination is relative to a directory that is not known");
  if (!has("archive", "recursive") || has("no-r", "no-recursive"))
    return refuse("it is not recursive: only whole trees are mirrored");
  const { possible, keeps } = judge(ctx, given);
  if (!possible) return null;

  const options: FilterOption[] = given.filter(({ name }) => filterNames.has(name));
  const read = readFilters({ ...ctx, zeros: has("from0") }, { options });
  const below =
    source.top === null ? { ...read, lost: false } : belowTop(read.filters, { top: source.top });
  if (below.lost)
    take.impossible(
      "patterns",
      `some are anchored above "${source.top}": write them as rsync.filters, seen from within it`,
    );
  const deletes = given.some(({ name }) => deleting.has(name)) && !has("no-delete");
  const maxDelete = maxDeleteOf(ctx, last("max-delete"));
  const lost = read.lost || below.lost;
  const mayDelete = deletes && !keeps && !lost && maxDelete !== 0;
  if (deletes && lost)
    take.changed(
      "--delete",
      "nothing is deleted: some of what the old rsync protected cannot be told",
    );
  if (!deletes) take.taken("no --delete", "rsync.delete is false: nothing is ever deleted");
  if (has("delete-excluded") && mayDelete)
    take.changed(
      "--delete-excluded",
      "what is excluded stays where it is already: remove it by hand",
    );
  if (has("safe-links"))
    take.changed("--safe-links", "links that lead out of the tree come, too, as links");
  if (source.user !== null || has("password-file"))
    take.changed(
      `login ${source.user ?? ""}`.trim(),
      "passwords are never read or written here: after applying, mirrorfleet project edit NAME --login-user USER asks for it",
    );
  const { bandwidthKiBps, ...limits } = limitsOf(ctx, last);
  const destination = source.top === null ? base : `${base}/${source.top}`;
  return {
    destination,
    fields: {
      upstream: source.url,
      ...limits,
      rsync: {
        delete: mayDelete,
        hardLinks: has("hard-links") && !has("no-hard-links", "no-H"),
        ...(below.filters.length > 0 && { filters: below.filters }),
        ...(bandwidthKiBps !== null && { bandwidthKiBps }),
        ...(has("ipv4") !== has("ipv6") && {
          ipVersion: has("ipv4") ? (4 as const) : (6 as const),
        }),
        ...(mayDelete && maxDelete !== undefined && { maxDelete }),
      },
    },
  };
}
