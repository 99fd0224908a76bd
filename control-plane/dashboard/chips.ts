import type { Task } from "../../protocol/run.ts";
import type { AttemptState, RunState, TaskState } from "../../protocol/states.ts";
import { html, type Html } from "./html.ts";

/** Colour, mark and words of each state: never the colour alone. */
const looks: Record<RunState | TaskState | AttemptState | "held", [string, string, string?]> = {
  queued: ["wait", "◷", "waiting"],
  running: ["busy", "↻"],
  leased: ["busy", "↻", "running"],
  distributing: ["busy", "↻"],
  succeeded: ["good", "✓"],
  failed: ["bad", "✗"],
  held: ["held", "‖", "held"],
  lost: ["bad", "?"],
  superseded: ["wait", "⊘"],
  cancelled: ["wait", "⊘"],
  skipped: ["wait", "–"],
};

/** A state as a small label. */
export function chip(state: keyof typeof looks): Html {
  const [colour, mark, word = state] = looks[state];
  return html`<span class="chip ${colour}"><span aria-hidden="true">${mark}</span> ${word}</span>`;
}

/** Does it hold deletions that nobody has decided on? */
export const isHeld = ({ state, result, dismissedAt }: Task) =>
  state === "failed" && result?.outcome === "held" && dismissedAt === null;

export const taskChip = (task: Task) => chip(isHeld(task) ? "held" : task.state);
