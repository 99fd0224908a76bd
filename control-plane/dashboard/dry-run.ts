import type { Task } from "../../protocol/run.ts";
import { html, type Html } from "./html.ts";
import { count, pathBelow, plural, size } from "./words.ts";

const kinds = [
  ["created", "Would be created"],
  ["changed", "Would change"],
  ["deleted", "Would be deleted"],
] as const;

/** What a dry run found on the master: counts, and some paths of each kind. */
export function dryRunFindings({ result }: Pick<Task, "result">): Html | "" {
  const would = result?.dryRun;
  if (!would) return "";
  const groups = kinds.map(([kind, title]) => {
    const { entries, examples } = would[kind];
    const more = entries - examples.length;
    return html`<section class="card">
      <h2>${title}: ${count(entries)}</h2>
      ${entries === 0 && html`<p class="faint">Nothing.</p>`}
      ${
        examples.length > 0 &&
        html`<ul class="paths">
          ${examples.map((path) => html`<li>${pathBelow(path)}</li>`)}
          ${more > 0 && html`<li class="faint">and ${count(more)} more: the log names them</li>`}
        </ul>`
      }
    </section>`;
  });
  return html`<p class="note">
      A dry run: nothing was changed. A sync would fetch files of ${size(would.bytes)}, of
      ${size(would.totalBytes)} in ${plural(would.files, "entry", "entries")} at the source.
    </p>
    ${would.held !== null && html`<p class="note held">It would hold the deletions for an operator: ${would.held}.</p>`}
    <div class="thirds">${groups}</div>`;
}
