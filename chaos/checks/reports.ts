import { stateDirectory } from "../../agent/disk-trouble.ts";
import { isDeepStrictEqual } from "node:util";
import type { History, ReportSent, Violation } from "../history.ts";

const accepted = ({ status }: ReportSent) => status === 200;

/** When a later attempt than this one was seen to be leased. */
const supersededAt = ({ leases }: History, { taskId, attempt }: ReportSent): number =>
  Math.min(
    Number.POSITIVE_INFINITY,
    ...leases
      .filter((lease) => lease.taskId === taskId && lease.attempt > attempt)
      .map(({ answered }) => answered),
  );

/** Was this very result told before a later attempt began? Then it is accepted again and changes nothing. */
const toldBefore = ({ reports }: History, report: ReportSent, until: number): boolean =>
  reports.some(
    (other) =>
      other.kind === "result" &&
      other.taskId === report.taskId &&
      other.attempt === report.attempt &&
      other.sent < until &&
      isDeepStrictEqual(other.result, report.result),
  );

/** No heartbeat or result of an attempt is accepted after a later attempt has been leased. */
export function checkFence(history: History): Violation[] {
  return history.reports
    .filter((report) => accepted(report) && report.kind !== "log")
    .flatMap((report) => {
      const until = supersededAt(history, report);
      if (report.sent <= until) return [];
      if (report.kind === "result" && toldBefore(history, report, until)) return [];
      const { taskId, attempt, kind, sent } = report;
      return [
        {
          rule: "fence",
          what: `a ${kind} of attempt ${attempt} of task ${taskId} was accepted after a later attempt had been leased`,
          at: sent,
          ids: [taskId],
        },
      ];
    });
}

type Told = ReportSent["result"];

const isSame = (one: Told | undefined, other: Told) =>
  one?.outcome === other?.outcome &&
  one?.message === other?.message &&
  one?.logBytes === other?.logBytes;

const diskWasFull = ({ faults }: History) =>
  faults.some(({ what }) => what.startsWith("fill-disk"));

/**
 * Each accepted result is what its attempt has in the end. On a full disk an agent cannot note that it has told one: killed
 * then, it tells in other words that it was interrupted, and what was told first counts.
 */
export function checkResults(history: History): Violation[] {
  const { attempts } = history;
  const told = history.reports.filter((report) => accepted(report) && report.kind === "result");
  return told.flatMap(({ taskId, attempt, result, answered }) => {
    const kept = attempts.find((each) => each.taskId === taskId && each.attempt === attempt);
    const isKept = told.some(
      (report) =>
        report.taskId === taskId &&
        report.attempt === attempt &&
        isSame(report.result, kept?.result ?? null),
    );
    const again = isKept && result?.outcome === "interrupted" && diskWasFull(history);
    const same = isSame(kept?.result ?? undefined, result) || again;
    if (kept && same && kept.state !== "superseded" && kept.state !== "running") return [];
    return [
      {
        rule: "results",
        what: `an accepted result of attempt ${attempt} of task ${taskId} is lost: the attempt is ${kept?.state ?? "gone"}, with ${JSON.stringify(kept?.result ?? null)}`,
        at: answered,
        ids: [taskId],
      },
    ];
  });
}

/** Whatever an agent began is reported in the end, and answered for good. */
export function checkSpool({ spooled, reports }: History): Violation[] {
  return spooled.flatMap(({ host, taskId, attempt, left }) => {
    const told = reports.some(
      (report) =>
        report.kind === "result" &&
        report.taskId === taskId &&
        report.attempt === attempt &&
        report.status > 0 &&
        report.status < 500,
    );
    const what = left
      ? `is still in the spool of ${host}`
      : told
        ? null
        : `was in the spool of ${host}, and its result was never delivered`;
    return what === null
      ? []
      : [
          {
            rule: "spool",
            what: `attempt ${attempt} of task ${taskId} ${what}`,
            at: Number.MAX_SAFE_INTEGER,
            ids: [taskId],
          },
        ];
  });
}

/** The log of each attempt whose result was accepted is the agent's, byte for byte. */
export function checkLogs(history: History): Violation[] {
  const { spooled, reports, attempts } = history;
  return spooled.flatMap(({ taskId, attempt, log }) => {
    const done = reports.find(
      (report) =>
        accepted(report) &&
        report.kind === "result" &&
        report.taskId === taskId &&
        report.attempt === attempt,
    );
    const kept = attempts.find((each) => each.taskId === taskId && each.attempt === attempt)?.log;
    // What a full disk did not take the agent tells from memory; it says so, and how much there is.
    const inMemory = done?.result?.message.includes(`${stateDirectory} `);
    if (inMemory && kept?.bytes === done?.result?.logBytes) return [];
    // It was killed before it could say so: then more was told than its disk holds, and its next process knows of no more.
    const killed = done?.result?.outcome === "interrupted" && done.result.logBytes === log?.bytes;
    if (diskWasFull(history) && killed && (kept?.bytes ?? 0) > (log?.bytes ?? 0)) return [];
    if (!done || log === null || (kept?.bytes === log.bytes && kept.sha256 === log.sha256))
      return [];
    return [
      {
        rule: "logs",
        what: `the log of attempt ${attempt} of task ${taskId} has ${kept?.bytes ?? 0} bytes; the agent wrote ${log.bytes}`,
        at: Number.MAX_SAFE_INTEGER,
        ids: [taskId],
      },
    ];
  });
}
