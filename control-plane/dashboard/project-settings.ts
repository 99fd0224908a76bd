import type { Project } from "../../protocol/project.ts";
import type { AuditEvent } from "../../protocol/settings.ts";
import { changeCell, settingsOf, shown } from "./changes.ts";
import { html, type Html } from "./html.ts";
import { when } from "./words.ts";

/** A project's settings as they are. */
export function settingsList(project: Project): Html {
  return html`<dl class="facts">
    ${Object.entries(settingsOf(project)).map(
      ([name, value]) =>
        html`<dt>${name}</dt>
          <dd><code>${shown(value)}</code></dd>`,
    )}
  </dl>`;
}

/** Who changed what, newest first. */
export function history(events: AuditEvent[]): Html {
  if (events.length === 0)
    return html`<p class="faint">Nobody has changed it, or it is no longer kept.</p>`;
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          <th scope="col">When</th>
          <th scope="col">Who</th>
          <th scope="col">What</th>
          <th scope="col">Change</th>
        </tr>
      </thead>
      <tbody>
        ${events.map(
          (event) =>
            html`<tr>
              <td>${when(event.at)}</td>
              <td>${event.actor}</td>
              <td>${event.action}</td>
              ${changeCell(event)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
