import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { stateDirectory, troubleWith } from "../../agent/disk-trouble.ts";
import { check } from "../../chaos/check.ts";
import { planFaults } from "../../chaos/plan.ts";
import { emptyHistory, type History, type ReportSent } from "../../chaos/history.ts";
import { timelineOf } from "../../chaos/timeline.ts";
import { testResult } from "../helpers/control-plane.ts";

const log = { bytes: 10, sha256: "of its ten bytes" };
const result = testResult({ logBytes: 10 });

/** Two tries of one task: the first lost its lease, the second succeeded. */
function goodHistory() {
  const [run, task] = [randomUUID(), randomUUID()];
  const report = (attempt: number, sent: number, given: Partial<ReportSent> = {}): ReportSent => ({
    taskId: task,
    attempt,
    kind: "result",
    sent,
    answered: sent + 10,
    status: 200,
    copy: false,
    result,
    ...given,
  });
  const change = (
    at: number,
    from: string | null,
    to: string,
    attemptBefore: number,
    attempt: number,
  ) => ({
    at,
    kind: "task" as const,
    id: task,
    from,
    to,
    attemptBefore,
    attempt,
  });
  const rsync = (started: number, ended: number | null) => ({
    host: "master",
    destination: "/srv/alpha/",
    started,
    ended,
    besideAnother: false,
  });
  const history: History = {
    ...emptyHistory(),
    schedules: [{ project: "alpha", everySeconds: 3, from: 1000, until: 13_000 }],
    triggers: [{ project: "alpha", key: "one", asked: 3500, runIds: [run, run] }],
    reports: [
      report(1, 5000, { kind: "heartbeat", result: null }),
      report(1, 9000, { status: 409 }),
      report(2, 9500),
      report(2, 12_000, { copy: true }),
    ],
    leases: [
      { taskId: task, attempt: 1, host: "master", answered: 4000 },
      { taskId: task, attempt: 2, host: "master", answered: 8000 },
    ],
    rsyncs: [rsync(4100, null), rsync(8100, 9000)],
    changes: [
      change(3600, null, "queued", 0, 0),
      change(3900, "queued", "leased", 0, 1),
      change(7000, "leased", "queued", 1, 1),
      change(7900, "queued", "leased", 1, 2),
      change(9500, "leased", "succeeded", 2, 2),
    ],
    spooled: [1, 2].map((attempt) => ({ host: "master", taskId: task, attempt, log, left: false })),
    runs: [
      {
        trigger: "schedule",
        state: "succeeded",
        reason: null,
        scheduledFor: 3000,
        startedAt: 3000,
      },
      {
        trigger: "schedule",
        state: "skipped",
        reason: `missed, with all that were due before ${new Date(12_000).toISOString()}`,
        scheduledFor: 6000,
        startedAt: null,
      },
      {
        trigger: "schedule",
        state: "succeeded",
        reason: null,
        scheduledFor: 12_000,
        startedAt: 12_000,
      },
    ].map(
      (each) =>
        Object.assign(each, { id: randomUUID(), project: "alpha" }) as History["runs"][number],
    ),
    tasks: [{ id: task, runId: run, project: "alpha", host: "master", state: "succeeded" }],
    attempts: [
      { taskId: task, attempt: 1, state: "superseded", result, log },
      { taskId: task, attempt: 2, state: "succeeded", result, log },
    ],
    trees: [{ project: "alpha", host: "ftp1", when: "at the end", differences: [] }],
  };
  history.runs.push({
    id: run,
    project: "alpha",
    trigger: "manual",
    state: "succeeded",
    reason: null,
    scheduledFor: 3600,
    startedAt: 3600,
  });
  return { history, run, task, report, change, rsync };
}

type Good = ReturnType<typeof goodHistory>;

/** What is done to a good history, and what the checker must say then. */
const wrongs: [string, string, (good: Good) => void][] = [
  ["occurrences", "an occurrence is lost", ({ history }) => history.runs.splice(0, 1)],
  ["occurrences", "an occurrence runs twice", ({ history }) => history.runs.push(history.runs[0]!)],
  [
    "occurrences",
    "one ran although it was counted as missed",
    ({ history }) => history.runs.push({ ...history.runs[0]!, scheduledFor: 9000 }),
  ],
  ["triggers", "a trigger's run is lost", ({ history }) => history.runs.splice(3, 1)],
  [
    "triggers",
    "a trigger that was sent again made two runs",
    ({ history }) => {
      history.triggers[0]!.runIds[1] = randomUUID();
    },
  ],
  [
    "triggers",
    "a trigger was taken for a run that had begun",
    ({ history }) => {
      history.runs[3]!.startedAt = 2000;
    },
  ],
  [
    "triggers",
    "no rsync began after the trigger",
    ({ history }) => {
      history.rsyncs = [];
    },
  ],
  [
    "destinations",
    "the kernel saw two rsyncs on a destination",
    ({ history }) => {
      history.rsyncs[1]!.besideAnother = true;
    },
  ],
  [
    "destinations",
    "two rsyncs overlap in time",
    ({ history, rsync }) => history.rsyncs.push(rsync(8500, 8600)),
  ],
  [
    "states",
    "a finished task is leased again",
    ({ history, change }) => history.changes.push(change(13_000, "succeeded", "leased", 2, 3)),
  ],
  [
    "states",
    "an attempt's number is given twice",
    ({ history, change }) => history.changes.push(change(13_000, "queued", "leased", 2, 2)),
  ],
  [
    "fence",
    "a heartbeat of an old attempt is accepted",
    ({ history, report }) =>
      history.reports.push(report(1, 8500, { kind: "heartbeat", result: null })),
  ],
  [
    "fence",
    "a result of an old attempt is accepted",
    ({ history, report }) => {
      history.reports.push(report(1, 8500));
      history.attempts[0]!.state = "failed";
    },
  ],
  [
    "results",
    "an accepted result is not kept",
    ({ history }) => {
      history.attempts[1]!.result = null;
    },
  ],
  [
    "spool",
    "a spool's result is never delivered",
    ({ history }) => {
      history.reports = history.reports.filter(({ attempt }) => attempt === 2);
    },
  ],
  [
    "spool",
    "an entry stays in the spool",
    ({ history }) => {
      history.spooled[0]!.left = true;
    },
  ],
  [
    "logs",
    "a log lacks its end",
    ({ history }) => {
      history.attempts[1]!.log = { bytes: 5, sha256: "of five" };
    },
  ],
  ["trees", "a host's tree differs", ({ history }) => history.trees[0]!.differences.push("/file")],
  [
    "stuck",
    "a task is leased for ever",
    ({ history }) => {
      history.tasks[0]!.state = "leased";
    },
  ],
];

test("the checker finds nothing wrong in a good history", () => {
  expect(check(goodHistory().history)).toEqual([]);
});

test.each(wrongs)("the checker tells of %s when %s, with a timeline", (rule, _, spoil) => {
  const good = goodHistory();
  spoil(good);
  const violations = check(good.history);
  expect([...new Set(violations.map((violation) => violation.rule))]).toEqual([rule]);
  for (const violation of violations) expect(timelineOf(good.history, violation)).toBeDefined();
});

test("a result of an old attempt that had been told before is accepted again", () => {
  const { history, report } = goodHistory();
  history.reports.push(report(1, 7950, { status: 0 }), report(1, 9000));
  history.attempts[0]!.state = "failed";
  expect(check(history)).toEqual([]);
});

test("a seed decides the faults, and another seed others", () => {
  const plan = (seed: number) => planFaults({ seed, seconds: 60 });
  expect(plan(1)).toEqual(plan(1));
  expect(plan(1)).not.toEqual(plan(2));
});

test("a log that a full disk did not take is compared by the length that its result tells", async () => {
  const { history } = goodHistory();
  const trouble = Object.assign(new Error("no space"), { code: "ENOSPC" });
  const message = troubleWith({ name: stateDirectory, path: "/var/lib/agent" }, trouble)!;
  for (const each of [...history.reports, ...history.attempts])
    each.result &&= { ...each.result, message };
  history.spooled[1]!.log = { bytes: 0, sha256: "of none" };
  expect(check(history)).toEqual([]);
  history.attempts[1]!.log = { bytes: 9, sha256: "of nine" };
  expect(check(history)).toMatchObject([{ rule: "logs" }]);
});

test("of an agent that was killed on a full disk more of a log may be kept than its disk holds, and never less", () => {
  const { history } = goodHistory();
  for (const each of [...history.reports, ...history.attempts])
    each.result &&= { ...each.result, outcome: "interrupted", logBytes: 4 };
  history.spooled[1]!.log = { bytes: 4, sha256: "of four" };
  expect(check(history)).toMatchObject([{ rule: "logs" }]);
  history.faults.push({ at: 8500, what: "fill-disk 202 for 2.3 s" });
  expect(check(history)).toEqual([]);
  history.attempts[1]!.log = { bytes: 3, sha256: "of three" };
  expect(check(history)).toMatchObject([{ rule: "logs" }]);
});

test("an agent that was killed on a full disk may tell twice that it was interrupted: the first time counts", () => {
  const { history, report } = goodHistory();
  const interrupted = { ...result, outcome: "interrupted" as const };
  for (const each of [...history.reports, ...history.attempts]) each.result &&= interrupted;
  history.reports.push(report(2, 13_000, { result: { ...interrupted, message: "once more" } }));
  expect(check(history)).toMatchObject([{ rule: "results" }]);
  history.faults.push({ at: 8500, what: "fill-disk 202 for 2.3 s" });
  expect(check(history)).toEqual([]);
  history.attempts[1]!.result = { ...interrupted, message: "what nobody told" };
  expect(check(history)).toMatchObject([
    { rule: "results" },
    { rule: "results" },
    { rule: "results" },
  ]);
});
