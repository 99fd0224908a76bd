import type { Settings } from "../../protocol/settings.ts";
import type { Actor } from "../auth/actor.ts";
import { operationButton } from "./buttons.ts";
import { html, type Html } from "./html.ts";
import { when } from "./words.ts";

const back = "/admin";

/** Pauses the whole fleet, or lets it go on. */
export function fleetPause(actor: Actor, { paused }: Settings): Html {
  if (paused)
    return html`<section class="card">
      <h2>Fleet</h2>
      <p class="note warn">
        Paused since ${when(paused.at)}${paused.reason && html`: ${paused.reason}`}
      </p>
      ${operationButton(actor, { path: "/v1/settings/resume", text: "Let it go on", back, kind: "primary" })}
    </section>`;
  return html`<section class="card">
    <h2>Fleet</h2>
    <details>
      <summary>Pause everything</summary>
      <form method="post" action="/do/v1/settings/pause">
        <input type="hidden" name="back" value="${back}" />
        <p>Nothing is started any more, on no host, until somebody lets it go on.</p>
        <p class="field">
          <label for="reason">Reason</label><input id="reason" name="text:reason" maxlength="500" />
        </p>
        <p class="field">
          <label
            ><input type="checkbox" name="flag:cancelRunning" value="true" /> Also end what runs
            now</label
          >
        </p>
        <button class="danger">Pause the fleet</button>
      </form>
    </details>
  </section>`;
}
