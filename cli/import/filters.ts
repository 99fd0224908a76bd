import type { RsyncOptions } from "../../protocol/rsync.ts";
import { unknown } from "./shell-words.ts";
import type { NoteTaker } from "./report.ts";

type Filter = RsyncOptions["filters"][number];
/** One rule as rsync reads it; `lost`: it protects something in a way that cannot be taken over. */
type Rule = Filter | { action: "clear" } | { action: "none" } | { action: "lost"; why: string };

const names: Record<string, string> = {
  "-": "exclude",
  "+": "include",
  P: "protect",
  R: "risk",
  H: "hide",
  S: "show",
  ".": "merge",
  ":": "dir-merge",
};
const ruleForm =
  /^(?:([-+.:PRHS])|(exclude|include|merge|dir-merge|hide|show|protect|risk))(?:,?([^\s_]*))[ _](.*)$/s;

const maximal = 1024;

function filter(action: Filter["action"], pattern: string): Rule {
  if (pattern.includes(unknown) || /\p{Cc}/u.test(pattern) || pattern.length > maximal)
    return { action: "lost", why: "its pattern is not known, or too long" };
  return pattern === "" ? { action: "none" } : { action, pattern };
}

/** A rule of `--filter`, or of a line of a merged file. */
function ruleOf(text: string, take: NoteTaker): Rule {
  if (text === "!" || text === "clear") return { action: "clear" };
  const [, sign = "", word, modifiers = "", pattern = ""] = ruleForm.exec(text) ?? [];
  const name = word ?? names[sign];
  // "p" makes a rule protect less: without it more stays.
  if (name === undefined || modifiers.replace("p", "") !== "")
    return { action: "lost", why: "rules of this form cannot be taken over" };
  if (name === "exclude" || name === "include") return filter(name, pattern);
  if (name === "risk") {
    take.changed(`--filter "${text}"`, "left out: what it gave free for deletion stays");
    return { action: "none" };
  }
  if (name === "protect" || name === "hide") {
    take.changed(`--filter "${text}"`, "became an exclude: it is neither pulled nor deleted");
    return filter("exclude", pattern);
  }
  return { action: "lost", why: "rules of this form cannot be taken over" };
}

/** A pattern of `--exclude` and its like, which may say itself what it is. */
function patternRule(text: string, action: Filter["action"]): Rule {
  if (text === "!") return { action: "clear" };
  if (text.startsWith("- ")) return filter("exclude", text.slice(2));
  if (text.startsWith("+ ")) return filter("include", text.slice(2));
  return filter(action, text);
}

const linesOf = (text: string, zeros: boolean) =>
  zeros
    ? text.split("\0").filter(Boolean)
    : text.split(/\r?\n/).filter((line) => line !== "" && !/^[#;]/.test(line));

/** An option that says what is left out, with its value. */
export type FilterOption = { name: string; value: string };

/** The rules of one option; null where its file cannot be read. */
function rulesOf(
  { name, value }: FilterOption,
  { take, zeros, readText }: FilterCtx,
): Rule[] | null {
  const merged = /^(?:merge|\.)[ _](.+)$/.exec(value);
  if (name === "filter" && !merged) return [ruleOf(value, take)];
  if (name === "exclude" || name === "include") return [patternRule(value, name)];
  const text = readText(merged?.[1] ?? value);
  if (text === null) return null;
  const lines = linesOf(text, zeros);
  if (merged) return lines.map((line) => ruleOf(line.trimStart(), take));
  return lines.map((line) => patternRule(line, name === "include-from" ? "include" : "exclude"));
}

export type FilterCtx = {
  take: NoteTaker;
  /** Lists are separated by NUL. */
  zeros: boolean;
  /** Text of a file that the old configuration names; null where it is not here. */
  readText: (path: string) => string | null;
};

/** The filters that options name, in order. `lost`: some protection could not be taken over. */
export function readFilters(
  ctx: FilterCtx,
  { options }: { options: FilterOption[] },
): { filters: Filter[]; lost: boolean } {
  let filters: Filter[] = [];
  let lost = false;
  const lose = (what: string, why: string) => {
    lost = true;
    ctx.take.impossible(what, `${why}; write it as rsync.filters`);
  };
  for (const option of options) {
    const what = `--${option.name} "${option.value.replaceAll(unknown, "…")}"`;
    const rules = option.value.includes(unknown) ? null : rulesOf(option, ctx);
    if (rules === null) lose(what, "its rules cannot be read here");
    for (const rule of rules ?? []) {
      if (rule.action === "lost") lose(what, rule.why);
      else if (rule.action === "clear") filters = [];
      else if (rule.action !== "none") filters.push(rule);
    }
  }
  return { filters, lost };
}

const wild = /[*?[\\]/;

/**
 * The same filters seen from within the directory `top`: a source without a slash at its end brings the
 * directory itself, and patterns are anchored above it. `lost`: what some of them protect cannot be told.
 */
export function belowTop(
  filters: Filter[],
  { top }: { top: string },
): { filters: Filter[]; lost: boolean } {
  let lost = false;
  const kept = filters.flatMap((each) => {
    const anchored = each.pattern.startsWith("/");
    const [first = "", ...rest] = (anchored ? each.pattern.slice(1) : each.pattern).split("/");
    if (rest.join("/") === "") {
      if (!anchored) return [each];
      lost ||= first === top || wild.test(first);
      return [];
    }
    if (anchored && first === top) return [{ ...each, pattern: `/${rest.join("/")}` }];
    if (anchored && !wild.test(first)) return [];
    lost ||= first === top || wild.test(first);
    return anchored ? [] : [each];
  });
  return { filters: kept, lost };
}
