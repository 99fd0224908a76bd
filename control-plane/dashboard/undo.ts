import type { Actor } from "../auth/actor.ts";
import type { Deletions } from "../db/queries/generations.ts";
import { operationButton } from "./buttons.ts";
import { html, type Html } from "./html.ts";
import { may } from "./session.ts";
import { plural, secondsBetween } from "./words.ts";

/** Why nothing can be brought back; null: something may. */
function whyNot({ at, keptDays }: Deletions): string | null {
  if (keptDays === 0)
    return "its master keeps no deleted files (MIRRORFLEET_QUARANTINES in its agent’s settings; it keeps what is deleted from then on)";
  if (keptDays !== null && secondsBetween(at, null) > keptDays * 86_400)
    return `its master keeps deleted files for ${plural(keptDays, "day")} (MIRRORFLEET_QUARANTINE_DAYS)`;
  return null;
}

/** Brings back what was deleted last, or says why that cannot be; nothing where nothing was, or it is back. */
export function undoButton(
  actor: Actor,
  { project, back, deletions }: { project: string; back: string; deletions: Deletions | null },
): Html | "" {
  if (!deletions || !may(actor, "operator")) return "";
  const pull = `${plural(deletions.deleted, "entry", "entries")} that the pull of ${deletions.at.slice(0, 16).replace("T", " ")} UTC deleted`;
  const why = whyNot(deletions);
  if (why !== null)
    return html`<details class="confirm">
      <summary class="button">Undo deletions</summary>
      <div class="card"><p>The ${pull} cannot be brought back: ${why}.</p></div>
    </details>`;
  return operationButton(actor, {
    path: `/v1/projects/${project}/undo`,
    text: "Undo deletions",
    back,
    kind: "danger",
    confirm: `Brings back the ${pull}, as far as they lie in the master’s quarantine${deletions.keptDays === null ? " (where it has one: its agent is too old to say)" : `, for ${plural(deletions.keptDays, "day")}`}. The project is paused, or its next pull would delete them again.`,
  });
}
