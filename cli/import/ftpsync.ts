import { basename } from "node:path";
import { type Draft, nameLike } from "./place.ts";
import { noteTaker, type NoteTaker } from "./report.ts";
import { readRsync } from "./rsync-command.ts";
import { readScript } from "./shell-script.ts";
import { unknown } from "./shell-words.ts";

type Settings = (name: string, otherwise?: string) => string;

const words = (text: string) => text.split(/\s+/).filter(Boolean);
const oneDay = 86_400;

/** What ftpsync itself leaves alone in the tree: its lock files, its own trace. */
const ownPaths = (mirror: string) => [
  `/Archive-Update-in-Progress-${mirror}`,
  `/Archive-Update-Required-${mirror}`,
  `/project/trace/${mirror}`,
  `/project/trace/${mirror}-stage1`,
  "/project/trace/_hierarchy",
  "/project/trace/_traces",
];

/** Files of one architecture, as ftpsync names them; `*` is any, `source` the sources. */
const filesOf = (architecture: string): string[] =>
  architecture === "source"
    ? ["/dists/**/source/", "/pool/**/*.tar.*", "/pool/**/*.diff.*", "/pool/**/*.dsc"]
    : [
        `/dists/**/binary-${architecture}/`,
        `/dists/**/installer-${architecture}/`,
        `/dists/**/Contents-${architecture}.gz`,
        `/dists/**/Contents-udeb-${architecture}.gz`,
        `/dists/**/Contents-${architecture}.diff/`,
        `/indices/**/arch-${architecture}.files`,
        `/indices/**/arch-${architecture}.list.gz`,
        `/pool/**/*_${architecture}.deb`,
        `/pool/**/*_${architecture}.udeb`,
        `/pool/**/*_${architecture}.changes`,
      ];

/** The filters that ARCH_INCLUDE or ARCH_EXCLUDE stand for. */
function architectures(setting: Settings): string[] {
  const rules = (action: string, names: string[]) =>
    names.flatMap(filesOf).map((pattern) => `--filter=${action} ${pattern}`);
  const included = words(setting("ARCH_INCLUDE"));
  if (included.length === 0) return rules("-", words(setting("ARCH_EXCLUDE")));
  const all = included.some((name) => name !== "source") ? ["all"] : [];
  return [...rules("+", [...included, ...all]), ...rules("-", ["*", "source"])];
}

/** The arguments of ftpsync's second rsync, which deletes; those of the first name only what comes last. */
function argvOf(setting: Settings, mirror: string): string[] {
  const options = words(
    setting("RSYNC_OPTIONS", "-prltvHSB8192 --safe-links --timeout 120 --stats"),
  );
  const second = words(
    setting(
      "RSYNC_OPTIONS2",
      "--max-delete=40000 --delay-updates --delete --delete-delay --delete-excluded",
    ),
  );
  const deletes = second.some((word) => /^--(del|delete)/.test(word));
  const user = setting("RSYNC_USER");
  const port = setting("RSYNC_SSL_PORT");
  const path = setting("RSYNC_PATH", "debian").replace(/\/+$/, "");
  const host = `${user && `${user}@`}${setting("RSYNC_HOST")}${port && `:${port}`}`;
  return [
    ...words(setting("RSYNC_EXTRA")),
    ...(setting("RSYNC_BW") ? [`--bwlimit=${setting("RSYNC_BW")}`] : []),
    ...options,
    ...second,
    // ftpsync adds this where its options name neither.
    ...(deletes || !/--delete-(after|delay)/.test(second.join(" ")) ? ["--delete-delay"] : []),
    ...ownPaths(mirror).map((own) => `--filter=- ${own}`),
    "--exclude=.~tmp~/",
    ...words(setting("EXCLUDE")),
    ...architectures(setting),
    `rsync://${host}/${path}/`,
    setting("TO", "/srv/mirrors/debian/"),
  ];
}

/** What ftpsync did besides, and what does it here. */
const instead: Record<string, ["changed" | "impossible", string]> = {
  MAILTO: ["changed", "mail comes from alerts: mirrorfleet alert receivers"],
  ERRORSONLY: ["changed", "alerts tell of failures only"],
  FULLLOGS: ["changed", "whole logs are kept by the control plane: mirrorfleet logs"],
  LOGDIR: ["changed", "logs are kept by the control plane: mirrorfleet logs"],
  LOG: ["changed", "logs are kept by the control plane: mirrorfleet logs"],
  LOGROTATE: ["changed", "the control plane removes old logs: mirrorfleet settings"],
  HUB: [
    "changed",
    "FTP hosts of the fleet are told by themselves; mirrors outside it are not pushed to",
  ],
  RSYNC_PROXY: ["impossible", "no proxy is used: let the master reach its upstream"],
  RSYNC_OPTIONS1: ["changed", "what comes last is that of rsync.indexesLast: debian"],
  UIPSLEEP: [
    "changed",
    "whether the upstream is within an update is not asked: rsync.indexesLast keeps the tree whole",
  ],
  UIPRETRIES: [
    "changed",
    "whether the upstream is within an update is not asked: rsync.indexesLast keeps the tree whole",
  ],
  LOCKTIMEOUT: ["changed", "a limit of time is wallClockSeconds"],
  ...Object.fromEntries(
    [1, 2, 3, 4, 5].map((hook) => [
      `HOOK${hook}`,
      ["impossible", "no program runs beside a sync: ask for events by alerts"] as const,
    ]),
  ),
  ...Object.fromEntries(
    ["MAINTAINER", "SPONSOR", "COUNTRY", "LOCATION", "THROUGHPUT"].map((name) => [
      `INFO_${name}`,
      ["changed", "who runs the mirror is said once for the fleet: mirrorfleet settings"] as const,
    ]),
  ),
};

function nameOf(path: string, setting: Settings): string | null {
  const [, archive] = /^ftpsync-(.+)\.conf$/.exec(basename(path)) ?? [];
  return nameLike(basename(setting("TO"))) ?? nameLike(archive ?? setting("RSYNC_PATH", "debian"));
}

function noteOthers(variables: Map<string, string | string[]>, take: NoteTaker): void {
  for (const [name, [kind, why]] of Object.entries(instead))
    if (variables.get(name)) take[kind](name, why);
}

/** Reads an ftpsync.conf: its assignments, without running it. Null where it cannot become a project. */
export function importFtpsync(
  { path, text }: { path: string; text: string },
  {
    variables = new Map(),
    readText,
    schedule,
    mirrorName,
  }: {
    variables?: Map<string, string | string[]>;
    readText: (path: string) => string | null;
    schedule: string | null;
    /** Name of the old mirror, where its file asks the machine for it. */
    mirrorName?: string | undefined;
  },
): { draft: Draft | null; take: NoteTaker } {
  const given = readScript(text, { variables: new Map(variables) }).variables;
  const setting: Settings = (name, otherwise = "") => {
    const value = given.get(name);
    return (Array.isArray(value) ? value.join(" ") : value) || otherwise;
  };
  const name = nameOf(path, setting);
  const take = noteTaker(name ?? path);
  const refuse = (what: string, why: string) => {
    take.impossible(what, why);
    return { draft: null, take };
  };
  if (setting("RSYNC_HOST") === "") return refuse("RSYNC_HOST", "is missing: there is no upstream");
  const transport = setting("RSYNC_TRANSPORT");
  if (transport === "ssh")
    return refuse(
      "RSYNC_TRANSPORT",
      "sources are rsync daemons, not ssh: ask the upstream for a daemon, best with TLS",
    );
  const said = setting("MIRRORNAME", unknown);
  const mirror = said.includes(unknown) ? (mirrorName ?? "*") : said;
  const tls = transport.startsWith("ssl");
  const pull = readRsync({ take, readText }, { argv: argvOf(setting, mirror), tls });
  if (pull === null || name === null) return { draft: null, take };
  noteOthers(given, take);
  take.taken("two stages", "rsync.indexesLast is debian");
  take.taken("project/trace", "trace.style is debian: each host writes project/trace/HOST");
  if (mirror === "*")
    take.changed(
      "MIRRORNAME",
      "is asked of the machine: no other trace is pulled or deleted. Say it with --mirror-name, so that only its own is left alone",
    );
  if (schedule === null)
    take.changed(
      "schedule",
      "ftpsync has none: it is pulled when triggered. Give one with --schedule, or let the upstream's push call mirrorfleet with a token of scope trigger:PROJECT",
    );
  const fields = {
    ...pull.fields,
    rsync: { ...pull.fields.rsync, indexesLast: "debian" as const },
    trace: { style: "debian" as const },
    schedule,
    wallClockSeconds: oneDay,
  };
  return { draft: { name, destination: pull.destination, fields, take }, take };
}
