import { checkDestinations, checkTrees } from "./checks/destinations.ts";
import { checkFence, checkLogs, checkResults, checkSpool } from "./checks/reports.ts";
import { checkOccurrences, checkTriggers } from "./checks/schedule.ts";
import { checkStates, checkStuck } from "./checks/states.ts";
import type { History, Violation } from "./history.ts";

/** Judges a history; pure. Answers what must not be, none where all is well. */
export const check = (history: History): Violation[] =>
  [
    checkOccurrences,
    checkTriggers,
    checkDestinations,
    checkStates,
    checkFence,
    checkResults,
    checkSpool,
    checkLogs,
    checkTrees,
    checkStuck,
  ].flatMap((rule) => rule(history));
