import type { Task } from "../../protocol/run.ts";
import type { Actor } from "../auth/actor.ts";
import { operationButton } from "./buttons.ts";
import { html, type Html } from "./html.ts";
import { count, pathBelow, plural } from "./words.ts";

/** Deletions that wait for a person: how many, where most of them are, some of them, and the two answers. */
export function heldDeletions(actor: Actor, { task, back }: { task: Task; back: string }): Html {
  const held = task.result?.held;
  if (!held)
    return html`<p class="note held">
      Deletions wait for a decision; the agent did not say which.
    </p>`;
  const { deletions, entries, directories, examples } = held;
  const share = entries > 0 ? ` (${((100 * deletions) / entries).toFixed(1)} %)` : "";
  return html`<div class="note held">
    <p>
      <strong
        >${plural(deletions, "deletion")} of ${plural(entries, "entry", "entries")}${share} on
        ${task.host} ${deletions === 1 ? "waits" : "wait"} for a decision.</strong
      >
      Nothing was deleted.
    </p>
    ${
      directories.length > 0 &&
      html`<h2>Where most of them are</h2>
        <ul class="paths">
          ${directories.map(({ path, deletions: number }) => html`<li>${pathBelow(path)} ${count(number)}</li>`)}
        </ul>`
    }
    ${
      examples.length > 0 &&
      html`<h2>Some of them</h2>
        <ul class="paths">
          ${examples.map((path) => html`<li>${pathBelow(path)}</li>`)}
        </ul>`
    }
    <div class="buttons">
      ${operationButton(actor, { path: `/v1/tasks/${task.id}/approve`, text: `Approve ${plural(deletions, "deletion")}`, back, kind: "danger", confirm: "They are let go once, and no more of them than this number. Deleted files come back only from a quarantine or the upstream." })}
      ${operationButton(actor, { path: `/v1/tasks/${task.id}/dismiss`, text: "Leave the files", back })}
    </div>
  </div>`;
}
