import type { Host } from "../../protocol/host.ts";
import { field, type Filled, formError } from "./fields.ts";
import { formBody } from "./form-body.ts";
import { html } from "./html.ts";

/** What an administrator may change of it. */
export const hostForm = (name: string, filled: Filled, { roles }: Host) =>
  html`<details class="card" id="host-settings" ${filled.error && html` open`}>
    <summary>Change its settings</summary>
    <form method="post" action="/hosts/${name}">
      ${formError(filled)}
      ${field(filled, { name: "lines:addresses", label: "Addresses", type: "area", required: true, hint: "As the other hosts see it, one a line" })}
      ${field(filled, { name: "labels:labels", label: "Labels", type: "area", hint: "One a line: site=nyc" })}
      ${field(filled, { name: "number:parallel", label: "Tasks at a time", type: "number", hint: "None: as its agent is set" })}
      ${roles.includes("master") && field(filled, { name: "number:serves", label: "FTP hosts that it serves at a time", type: "number", hint: "None: all" })}
      <button>Save</button>
    </form>
  </details>`;

/** Labels that were there and are not any more go: the operation merges. */
function withoutGone(body: Record<string, unknown>, { labels: before }: Host) {
  if (body["labels"] === undefined) return body;
  const gone = Object.fromEntries(Object.keys(before).map((key) => [key, null]));
  return { ...body, labels: { ...gone, ...(body["labels"] as object) } };
}

/** Body of the operation that changes a host, by what its form sent. @throws AppError `invalid-input`. */
export const hostPatchOf = (sent: URLSearchParams, host: Host) => withoutGone(formBody(sent), host);
