import { runTransitions, taskTransitions } from "../../protocol/states.ts";
import type { Change, History, Violation } from "../history.ts";

const initial = {
  task: ["queued"],
  run: ["queued", "running", "distributing", "skipped"],
} as const satisfies Record<Change["kind"], string[]>;

const nextStates = (kind: Change["kind"], from: string): string[] =>
  Object.values(
    (kind === "task" ? taskTransitions : runTransitions)[from as "queued"] as Record<
      string,
      string
    >,
  );

/** Every change is one that the state machines have; attempts only go up, by one, with a lease. */
export function checkStates({ changes }: Pick<History, "changes">): Violation[] {
  return changes.flatMap((change) => {
    const { at, kind, id, from, to, attempt, attemptBefore } = change;
    const what: string[] = [];
    const known =
      from === null
        ? (initial[kind] as readonly string[]).includes(to)
        : from === to || nextStates(kind, from).includes(to);
    if (!known) what.push(`${kind} ${id} went from ${from ?? "nothing"} to ${to}`);
    const leased = kind === "task" && from === "queued" && to === "leased";
    if (from !== null && attempt !== attemptBefore + (leased ? 1 : 0))
      what.push(`task ${id} went from attempt ${attemptBefore} to ${attempt}, becoming ${to}`);
    return what.map((text) => ({ rule: "states", what: text, at, ids: [id] }));
  });
}

const active = new Set(["queued", "leased", "running", "distributing"]);

/** After quiet nothing waits for ever. */
export function checkStuck({ runs, tasks, attempts }: History): Violation[] {
  const violate = (what: string, ids: string[]) => ({
    rule: "stuck",
    what,
    at: Number.MAX_SAFE_INTEGER,
    ids,
  });
  return [
    ...tasks
      .filter(({ state }) => active.has(state))
      .map(({ id, host, project, state }) =>
        violate(`task ${id} of ${project} on ${host} is still ${state}`, [id]),
      ),
    ...runs
      .filter(({ state }) => active.has(state))
      .map(({ id, project, state }) => violate(`run ${id} of ${project} is still ${state}`, [id])),
    ...attempts
      .filter(({ state }) => active.has(state))
      .map(({ taskId, attempt }) =>
        violate(`attempt ${attempt} of task ${taskId} still runs`, [taskId]),
      ),
  ];
}
