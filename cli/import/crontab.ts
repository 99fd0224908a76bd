import { basename } from "node:path";
import type { ProjectCreate } from "../../protocol/project.ts";
import { findRsync, type FoundRsync } from "./find-rsync.ts";
import { type Draft, nameLike } from "./place.ts";
import { noteTaker, type Imported, type Note } from "./report.ts";
import { readRsync } from "./rsync-command.ts";
import { cronOf } from "./schedule.ts";
import type { Started } from "./shell-builtins.ts";
import { withoutSecrets } from "./secrets.ts";
import { readScript } from "./shell-script.ts";
import { scriptCalls } from "./script-calls.ts";
import { unknown, type Variables } from "./shell-words.ts";

/** A text file and its path. */
export type TextFile = { path: string; text: string };

type Entry = { when: string; command: string; zone: string | null; variables: Variables };

const timeForm = /^\s*(@\w+|(?:[\d*,/~?A-Za-z-]+\s+){4}[\d*,/~?A-Za-z-]+)\s+(\S.*)$/;
const variableForm = /^\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/;

/** cron turns `%` into a line break, unless it is escaped; what follows the first is the program's input. */
const commandOf = (text: string) =>
  text.replaceAll(/\\%/g, "\0").split("%")[0]!.replaceAll("\0", "%");

/** The lines of a crontab. `system`: those of /etc/crontab and /etc/cron.d, which name a user before the command. */
export function crontabEntries(text: string, { system }: { system: boolean }): Entry[] {
  let zone: string | null = null;
  const variables: Variables = new Map();
  const entries: Entry[] = [];
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [, name, quoted = ""] = variableForm.exec(line) ?? [];
    if (name !== undefined) {
      const value = quoted.replace(/^(["'])(.*)\1$/, "$2");
      if (name === "CRON_TZ" || name === "TZ") zone = value;
      variables.set(name, value);
      continue;
    }
    const [, when, rest = ""] = timeForm.exec(line) ?? [];
    if (when === undefined) continue;
    const command = commandOf(system ? rest.replace(/^\S+\s+/, "") : rest);
    entries.push({ when, command, zone, variables: new Map(variables) });
  }
  return entries;
}

/** Is it a crontab, rather than a script? Its first line that says something is a time or a variable, then. */
function isCrontab({ text }: TextFile): boolean {
  if (text.startsWith("#!")) return false;
  return text.split(/\r?\n/).some((line) => {
    const [, when] = timeForm.exec(line) ?? [];
    return when !== undefined && (when.startsWith("@") || /\d|\*/.test(when));
  });
}

const isSystem = ({ path }: TextFile) =>
  /(^|\/)(cron\.d\/[^/]+|crontab)$/.test(path) && !path.includes("spool");

/** What starts a program: its schedule, if that is known, and where it was read. */
type Occasion = { entry: Entry | null; about: string; zone: string; isScript: boolean };

function scheduleOf(
  { entry, zone }: Occasion,
  take: Draft["take"],
): Pick<ProjectCreate, "schedule" | "zone"> {
  if (entry === null) {
    take.changed(
      "schedule",
      "no crontab line starts it: it is pulled only when triggered; set its schedule",
    );
    return { schedule: null };
  }
  const schedule = cronOf(entry.when);
  if (schedule === null) {
    take.impossible(
      entry.when,
      "there is no such schedule: it is pulled only when triggered; set its schedule",
    );
    return { schedule: null };
  }
  take.taken(entry.when, `schedule "${schedule}" in ${entry.zone ?? zone}`);
  return { schedule, zone: entry.zone ?? zone };
}

function draftOf(
  found: FoundRsync,
  { occasion, readText }: { occasion: Occasion; readText: (path: string) => string | null },
): { draft: Draft | null; notes: Note[] } {
  const last = found.argv.at(-1) ?? "";
  const name = nameLike(basename(last)) ?? nameLike(basename(occasion.about)) ?? "project";
  const take = noteTaker(last.includes(unknown) ? occasion.about : name);
  const pull = readRsync({ take, readText }, found);
  if (pull === null) {
    const { about } = occasion;
    if (occasion.isScript) take.rename(`${about}, line ${found.line}`);
    return { draft: null, notes: take.notes };
  }
  if (found.wrapper)
    take.taken(
      found.wrapper,
      "left out: an agent runs one rsync in a directory at a time, with limits of its own",
    );
  const fields = { ...scheduleOf(occasion, take), ...pull.fields };
  const own = nameLike(basename(pull.destination)) ?? name;
  take.rename(own);
  return {
    draft: { name: own, destination: pull.destination, fields, take, way: found.way },
    notes: [],
  };
}

/**
 * Reads the rsyncs of crontabs and of the shell scripts that they start; nothing is run. A script that is
 * given too gets the schedule, the words and the variables of the line that names it.
 */
export function importCrontab(
  files: TextFile[],
  {
    zone,
    system,
    readText,
  }: { zone: string; system: boolean; readText: (path: string) => string | null },
): { drafts: Draft[]; notes: Imported["notes"] } {
  const crontabs = files.filter(isCrontab);
  const scripts = files.filter((file) => !isCrontab(file));
  const drafts: Draft[] = [];
  const notes: Note[] = [];
  const read = (occasion: Occasion, started: Started[]) => {
    let any = false;
    for (const found of started.flatMap(findRsync)) {
      any = true;
      const { draft, notes: refused } = draftOf(found, { occasion, readText });
      if (draft) drafts.push(draft);
      notes.push(...refused);
    }
    return any;
  };
  const noteUnread = (about: string, unread: Map<number, string>) => {
    for (const [line, text] of unread)
      notes.push({
        kind: "impossible",
        about: `${about}, line ${line}`,
        what: withoutSecrets(text).slice(0, 200),
        why: "only a run tells what this starts: look there, and write its projects by hand if it starts an rsync",
      });
  };
  const begun = new Set<string>();
  const readFileOf = (script: TextFile, entry: Entry | null, variables: Variables) => {
    const call = JSON.stringify([script.path, ...variables]);
    if (begun.has(call)) return;
    begun.add(call).add(script.path);
    const about = basename(script.path);
    const { started, errors, unread } = readScript(script.text, { variables });
    if (errors.length > 0)
      notes.push({
        kind: "impossible",
        about,
        what: errors[0]!,
        why: "the script cannot be read in whole: what follows may be missing",
      });
    noteUnread(about, unread);
    if (!read({ entry, about, zone, isScript: true }, started))
      notes.push({
        kind: "impossible",
        about,
        what: "no rsync",
        why: "the script starts none that can be told without running it: write its projects by hand",
      });
  };
  for (const file of crontabs) {
    for (const entry of crontabEntries(file.text, { system: system || isSystem(file) })) {
      const about = withoutSecrets(entry.command).slice(0, 80);
      const { variables } = entry;
      const { started, unread } = readScript(entry.command, { variables: new Map(variables) });
      noteUnread(about, unread);
      const any = read({ entry, about, zone, isScript: false }, started);
      const calls = scripts.flatMap((script) =>
        scriptCalls(script.path, { command: entry.command, started, variables }).map((call) => ({
          script,
          call,
        })),
      );
      for (const { script, call } of calls) readFileOf(script, entry, call);
      if (!any && calls.length === 0)
        notes.push({
          kind: "impossible",
          about,
          what: entry.when,
          why: "starts no rsync that can be seen: if its script does, name that as a further FILE; else it stays in cron",
        });
    }
  }
  for (const script of scripts) if (!begun.has(script.path)) readFileOf(script, null, new Map());
  return { drafts, notes };
}
