import type { Result } from "../protocol/report.ts";
import type { AttemptState, RunState, TaskState } from "../protocol/states.ts";

/** Milliseconds since 1970, by a clock that no fault moves. */
type Time = number;

/** A trigger that an operator sent, as often as it took; `runId` is null where no answer came through. */
type TriggerSent = { project: string; key: string; asked: Time; runIds: string[] };

/** A report that reached a control plane: what it said, and what was answered; status 0: nothing was heard. */
export type ReportSent = {
  taskId: string;
  attempt: number;
  kind: "heartbeat" | "log" | "result";
  sent: Time;
  answered: Time;
  status: number;
  /** The harness sent it again, later. */
  copy: boolean;
  result: Result | null;
};

/** A lease as a control plane gave it out. */
type LeaseGiven = { taskId: string; attempt: number; host: string; answered: Time };

/** One rsync as its wrapper saw it. */
type RsyncSeen = {
  host: string;
  destination: string;
  started: Time;
  /** Null: killed together with its wrapper. */
  ended: Time | null;
  /** Another one held the destination when it began: the kernel's word. */
  besideAnother: boolean;
};

/** A change of a task's or run's state, by a trigger in the database. */
export type Change = {
  at: Time;
  kind: "task" | "run";
  id: string;
  from: string | null;
  to: string;
  attemptBefore: number;
  attempt: number;
};

/** An attempt in an agent's spool. `log`: null where the harness came too late to keep it. */
type Spooled = { host: string; taskId: string; attempt: number; log: Log | null; left: boolean };

type Log = { bytes: number; sha256: string };

/** All that one run of the harness saw; the checker judges nothing else. */
export type History = {
  schedules: { project: string; everySeconds: number; from: Time; until: Time }[];
  triggers: TriggerSent[];
  reports: ReportSent[];
  leases: LeaseGiven[];
  rsyncs: RsyncSeen[];
  changes: Change[];
  spooled: Spooled[];
  runs: {
    id: string;
    project: string;
    trigger: string;
    state: RunState;
    reason: string | null;
    scheduledFor: Time;
    startedAt: Time | null;
  }[];
  tasks: { id: string; runId: string; project: string; host: string; state: TaskState }[];
  attempts: {
    taskId: string;
    attempt: number;
    state: AttemptState;
    result: Result | null;
    log: Log;
  }[];
  trees: { project: string; host: string; when: string; differences: string[] }[];
  /** What was injected, for the timeline. */
  faults: { at: Time; what: string }[];
};

/** Something that must not be; `ids` are what it is about. */
export type Violation = { rule: string; what: string; at: Time; ids: string[] };

export const emptyHistory = (): History => ({
  schedules: [],
  triggers: [],
  reports: [],
  leases: [],
  rsyncs: [],
  changes: [],
  spooled: [],
  runs: [],
  tasks: [],
  attempts: [],
  trees: [],
  faults: [],
});

const epoch = Date.now() - performance.now();

/** Now, by the monotonic clock. */
export const now = (): number => epoch + performance.now();
