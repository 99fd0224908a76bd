/**
 * States of a task. `queued` waits for its host; `leased` is held by the host's agent; of a `lost` one
 * nobody knows what it did: its agent went silent during the last attempt.
 */
export const taskStates = ["queued", "leased", "succeeded", "failed", "cancelled", "lost"] as const;
export type TaskState = (typeof taskStates)[number];

/** What can happen to a task. */
type TaskEvent = "lease" | "succeed" | "fail" | "retry" | "expire" | "exhaust" | "cancel" | "lose";

/** The state machine of a task; an event that a state does not list cannot happen in it. */
export const taskTransitions: Record<TaskState, Partial<Record<TaskEvent, TaskState>>> = {
  queued: { lease: "leased", cancel: "cancelled" },
  leased: {
    succeed: "succeeded",
    fail: "failed",
    retry: "queued",
    expire: "queued",
    exhaust: "failed",
    cancel: "cancelled",
    lose: "lost",
  },
  succeeded: {},
  failed: {},
  cancelled: {},
  lost: {},
};

/** States of one attempt. `superseded` lost its lease; what it reports later is kept as evidence only. */
export const attemptStates = ["running", "succeeded", "failed", "cancelled", "superseded"] as const;
export type AttemptState = (typeof attemptStates)[number];

/**
 * States of a run. `queued` waits for the project's current pull; `running` pulls from the upstream;
 * `distributing` waits for FTP hosts, and no longer holds up the next run; `skipped` never ran.
 */
export const runStates = [
  "queued",
  "running",
  "distributing",
  "succeeded",
  "failed",
  "cancelled",
  "skipped",
] as const;
export type RunState = (typeof runStates)[number];

type RunEvent = "start" | "distribute" | "succeed" | "fail" | "cancel";

/** The state machine of a run. */
export const runTransitions: Record<RunState, Partial<Record<RunEvent, RunState>>> = {
  queued: { start: "running", cancel: "cancelled" },
  running: {
    distribute: "distributing",
    succeed: "succeeded",
    fail: "failed",
    cancel: "cancelled",
  },
  distributing: { succeed: "succeeded", fail: "failed", cancel: "cancelled" },
  succeeded: {},
  failed: {},
  cancelled: {},
  skipped: {},
};

/** How one attempt ended, in the agent's words. */
export const outcomes = [
  "ok",
  "warning",
  "partial",
  "retryable",
  "fatal",
  "held",
  "refused",
  "timeout",
  "stalled",
  "interrupted",
  "cancelled",
] as const;
export type Outcome = (typeof outcomes)[number];

/** What the control plane makes of an outcome: `retry` becomes `exhaust` after the last attempt. */
export const eventByOutcome: Record<Outcome, "succeed" | "fail" | "retry" | "cancel"> = {
  ok: "succeed",
  warning: "succeed",
  partial: "retry",
  retryable: "retry",
  fatal: "fail",
  held: "fail",
  refused: "fail",
  timeout: "retry",
  stalled: "retry",
  interrupted: "retry",
  cancelled: "cancel",
};
