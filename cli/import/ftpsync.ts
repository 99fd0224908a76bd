import { basename } from "node:path";
import { argvOf, type Settings, usesTls } from "./ftpsync-argv.ts";
import { noteOthers } from "./ftpsync-others.ts";
import { type Draft, nameLike } from "./place.ts";
import { noteTaker, type NoteTaker } from "./report.ts";
import { readRsync } from "./rsync-command.ts";
import { readScript } from "./shell-script.ts";
import { unknown, type Variables } from "./shell-words.ts";

const oneDay = 86_400;

function nameOf(path: string, setting: Settings): string | null {
  const [, archive] = /^ftpsync-(.+)\.conf$/.exec(basename(path)) ?? [];
  return nameLike(basename(setting("TO"))) ?? nameLike(archive ?? setting("RSYNC_PATH", "debian"));
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
    variables?: Variables;
    readText: (path: string) => string | null;
    schedule: string | null;
    /** Name of the old mirror, where its file asks the machine for it. */
    mirrorName?: string | undefined;
  },
): { draft: Draft | null; take: NoteTaker } {
  // Where older ones use RSYNC_FILTER without setting it: what it protects is left alone in any case.
  const before: Variables = new Map([["RSYNC_FILTER", ""], ...variables]);
  const given = readScript(text, { variables: before }).variables;
  const setting: Settings = (name, otherwise = "") => {
    const value = given.get(name) ?? given.get("*");
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
  if (`${transport}${setting("RSYNC_SSL")}`.includes(unknown))
    return refuse("RSYNC_TRANSPORT", "is only known when it runs: write the project by hand");
  if (transport === "ssh")
    return refuse(
      "RSYNC_TRANSPORT",
      "sources are rsync daemons, not ssh: ask the upstream for a daemon, best with TLS",
    );
  const said = setting("MIRRORNAME", unknown);
  const mirror = said.includes(unknown) ? (mirrorName ?? "*") : said;
  const tls = usesTls(setting);
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
