import { field, type Filled, formError, tick } from "./fields.ts";
import { html, type Html } from "./html.ts";

/** What is set for the whole fleet. */
export function settingsForm(filled: Filled): Html {
  return html`<form method="post" action="/admin/settings" class="card">
    <h2>Settings</h2>
    ${formError(filled)}
    ${field(filled, { name: "number:upstreamParallel", label: "Pulls at a time from one upstream host", type: "number", hint: "None: no limit" })}
    ${field(filled, { name: "number:keepRunsDays", label: "Days for which runs are kept", type: "number", hint: "None: for ever" })}
    ${field(filled, { name: "number:keepLogsDays", label: "Days for which logs are kept", type: "number" })}
    ${field(filled, { name: "number:keepAuditDays", label: "Days for which audit events are kept", type: "number" })}
    ${field(filled, { name: "number:alertDiskDays", label: "Alert so many days before a disk is full", type: "number", hint: "None: when it nearly is" })}
    ${tick(filled, { name: "flag:standingOrders", label: "Hosts out of contact may follow the schedule by themselves" })}
    <button>Save</button>
  </form>`;
}
