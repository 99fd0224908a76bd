import type { AuditEvent } from "../../protocol/settings.ts";
import { html, type Html } from "./html.ts";

/** Changes of one event that are listed, and the longest value that is shown of one. */
const most = 20;
const longest = 300;

export const shown = (value: unknown): string => {
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
  "bytes",
]);

/** What somebody has set of a thing. */
export const settingsOf = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).filter(([name]) => !notSettings.has(name)))
    : {};

/** Names of the settings that differ, with both values. */
function changesOf({ before, after }: Pick<AuditEvent, "before" | "after">) {
  const [old, fresh] = [settingsOf(before), settingsOf(after)];
  return [...new Set([...Object.keys(old), ...Object.keys(fresh)])]
    .map((name) => ({ name, from: shown(old[name]), to: shown(fresh[name]) }))
    .filter(({ from, to }) => from !== to);
}

const short = (text: string) => (text.length > longest ? `${text.slice(0, longest)}…` : text);

/** A table's cell with what an event changed; empty where it made something, or there is nothing to compare. */
export function changeCell(event: AuditEvent): Html {
  const changes = event.before === null ? [] : changesOf(event);
  const more = changes.length - most;
  return html`<td class="change">
    ${changes
      .slice(0, most)
      .map(
        ({ name, from, to }) =>
          html`<div>${name}: <code>${short(from)}</code> → <code>${short(to)}</code></div>`,
      )}${more > 0 && html`<div class="faint">and ${more} more</div>`}
  </td>`;
}
