import type { Project } from "../../protocol/project.ts";
import type { AuditEvent } from "../../protocol/settings.ts";
import { html, type Html } from "./html.ts";
import { when } from "./words.ts";

const shown = (value: unknown): string => {
  if (value === null || value === undefined) return "none";
  return typeof value === "string" ? value : JSON.stringify(value);
};

/** What follows from the project's life, not from what somebody set. */
const notSettings = new Set([
  "id",
  "version",
  "generation",
  "nextRunAt",
  "createdAt",
  "replicas",
  "files",
]);

const settingsOf = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).filter(([name]) => !notSettings.has(name)))
    : {};

/** Names of the settings that differ, with both values. */
export function changesOf({ before, after }: Pick<AuditEvent, "before" | "after">) {
  const [old, fresh] = [settingsOf(before), settingsOf(after)];
  return [...new Set([...Object.keys(old), ...Object.keys(fresh)])]
    .map((name) => ({ name, from: shown(old[name]), to: shown(fresh[name]) }))
    .filter(({ from, to }) => from !== to);
}

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
              <td class="change">
                ${
                  event.before !== null &&
                  changesOf(event).map(
                    ({ name, from, to }) =>
                      html`<div>${name}: <code>${from}</code> → <code>${to}</code></div>`,
                  )
                }
              </td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
