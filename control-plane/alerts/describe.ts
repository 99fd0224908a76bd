import type { AlertCondition } from "../../protocol/alert.ts";
import type { Facts, Present } from "../db/queries/alert-conditions.ts";

/** Characters of what is said of one. */
const longest = 400;

/** A time of the database, for people. */
const time = (text: string) => `${new Date(text).toISOString().slice(0, 16).replace("T", " ")} UTC`;

const plural = (number: number, one: string, many = `${one}s`) =>
  `${number} ${number === 1 ? one : many}`;

function duration(seconds: number): string {
  if (seconds < 7200) return plural(Math.round(seconds / 60), "minute");
  return seconds < 172_800
    ? `${Math.round(seconds / 3600)} hours`
    : `${Math.round(seconds / 86_400)} days`;
}

const shares = { space: "space", inodes: "inodes" } as const;

const words: { [Condition in AlertCondition]: (facts: Facts[Condition]) => string } = {
  failed: ({ runs, reason, message }) =>
    [
      `${runs === 1 ? "" : `${runs} runs in a row failed; `}the last one ${reason ?? "failed"}`,
      message,
    ]
      .filter(Boolean)
      .join(": ")
      .slice(0, longest),
  stale: ({ freshAt, targetSeconds }) =>
    freshAt === null
      ? "has never been what its source is"
      : `last known to be what its source is at ${time(freshAt)}; its target is ${duration(targetSeconds)}`,
  "out-of-contact": ({ since }) => `its agent was heard last at ${time(since)}`,
  held: ({ deletions, entries }) =>
    `${plural(deletions, "deletion")} among ${plural(entries, "entry", "entries")} ${deletions === 1 ? "waits" : "wait"} for an operator`,
  disk: (facts) =>
    Object.entries(shares)
      .flatMap(([share, name]) => {
        const percent = facts[share as keyof typeof shares];
        return percent === null ? [] : [`${percent} % of its ${name}`];
      })
      .join(" and ")
      .concat(" free")
      .concat(
        facts.fullAt === null
          ? ""
          : `; full about ${time(facts.fullAt).slice(0, 10)} if it goes on as of late`,
      ),
  "no-progress": ({ attempts, lost }) =>
    `${lost ? "its agent fell silent at work" : "rsync stopped making progress"}, in attempt ${attempts} at the latest`,
  cloned: ({ reason }) => `quarantined, and given no tasks: ${reason}`.slice(0, longest),
};

/** Says what is wrong; may hold words of an upstream or a host, of which half a character may have been cut off. */
export const describe = ({ condition, facts }: Present): string =>
  (words[condition] as (facts: Present["facts"]) => string)(facts).toWellFormed();
