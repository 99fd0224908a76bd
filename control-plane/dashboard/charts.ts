import type { Pull } from "../db/queries/project-history.ts";
import { html, type Html } from "./html.ts";

function chart({
  label,
  unit = "",
  pulls,
  value,
}: {
  label: string;
  unit?: string;
  pulls: Pull[];
  value: (pull: Pull) => number;
}): Html {
  const data = [pulls.map(({ at }) => at), pulls.map(value)];
  return html`<figure>
    <figcaption>${label}</figcaption>
    <div class="chart" data-chart="${JSON.stringify({ label, unit, data })}"></div>
  </figure>`;
}

/** What pulls took and found, over time. */
export function pullCharts(pulls: Pull[]): Html {
  if (pulls.length < 2)
    return html`<p class="faint">They are drawn when two pulls have counted the tree.</p>`;
  return html`<div class="charts">
    ${chart({ label: "Duration of the pull", unit: " s", pulls, value: ({ seconds }) => seconds })}
    ${chart({ label: "Received", unit: "B", pulls, value: ({ receivedBytes }) => receivedBytes })}
    ${chart({ label: "Size of the tree", unit: "B", pulls, value: ({ totalBytes }) => totalBytes })}
    ${chart({ label: "Entries of the tree", pulls, value: ({ files }) => files })}
  </div>`;
}
