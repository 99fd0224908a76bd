import { alertConditions, type Receiver, receiverKinds } from "../../protocol/alert.ts";
import { field, type Filled, formError } from "./fields.ts";
import { html, type Html } from "./html.ts";

function conditionBoxes({ sent, stored }: Filled): Html {
  const { conditions = alertConditions } = stored as Partial<Receiver>;
  const chosen: readonly string[] = sent?.getAll("condition") ?? conditions;
  return html`<fieldset class="boxes">
    <legend>It is told of</legend>
    ${alertConditions.map(
      (condition) =>
        html`<label
          ><input
            type="checkbox"
            name="condition"
            value="${condition}"
            ${chosen.includes(condition) && html` checked`}
          />
          ${condition}</label
        > `,
    )}
  </fieldset>`;
}

/** Of what it is told, and how often. */
const whatFor = (filled: Filled): Html =>
  html`${conditionBoxes(filled)}
  ${field(filled, { name: "optional-lines:projects", label: "Projects", type: "area", hint: "One a line; none: all, and hosts" })}
  ${field(filled, { name: "optional-lines:hosts", label: "Hosts", type: "area", hint: "One a line; none: all" })}
  ${field(filled, { name: "number:remindHours", label: "Told again after hours", type: "number", hint: "None: never" })}`;

const room = (filled: Filled) =>
  field(filled, { name: "optional:room", label: "Matrix room", hint: "!abc:example.org" });
const people = (filled: Filled) =>
  html`${field(filled, { name: "optional:from", label: "Mail from", hint: "mirror@example.org" })}
  ${field(filled, { name: "lines:to", label: "Mail to", type: "area", hint: "Addresses, one a line" })}`;

/** The form that makes one. */
export function newReceiverForm(filled: Filled): Html {
  return html`<form method="post" action="/alerts/receivers" class="card" id="new-receiver">
    <h2>Tell somebody else</h2>
    ${formError(filled)}
    <div class="columns">
      <div>
        ${field(filled, { name: "text:name", label: "Name", required: true, hint: "on-call" })}
        ${field(filled, { name: "text:kind", label: "By", options: receiverKinds.map((kind) => ({ value: kind, text: kind })) })}
        ${field(filled, { name: "text:url", label: "URL", required: true, hint: "Of the webhook, the Matrix homeserver, or smtp:// or smtps:// with user and password. It cannot be read again" })}
        ${field(filled, { name: "optional:secret", label: "Secret", type: "password", hint: "Of a webhook the signing secret (whsec_…), of Matrix the access token" })}
        ${room(filled)}${people(filled)}
      </div>
      <div>
        ${whatFor(filled)}
        <button>Add it</button>
      </div>
    </div>
  </form>`;
}

/** The form that changes one: what its kind has, of which secrets that are left empty stay. */
export function editReceiverForm(filled: Filled, { kind, address }: Receiver): Html {
  return html`<form method="post" class="card">
    ${formError(filled)}
    <div class="columns">
      <div>
        ${field(filled, { name: "optional:url", label: "URL", hint: `Left empty, the one that is stored stays: at ${address}. It cannot be read again` })}
        ${kind === "webhook" && field(filled, { name: "optional:secret", label: "Signing secret", type: "password", hint: "Left empty, the one that is stored stays" })}
        ${kind === "matrix" && field(filled, { name: "optional:secret", label: "Access token", type: "password", hint: "Left empty, the one that is stored stays, unless the URL names another host" })}
        ${kind === "matrix" && room(filled)}${kind === "email" && people(filled)}
      </div>
      <div>
        ${whatFor(filled)}
        <p class="buttons">
          <button class="primary">Save</button><a class="button" href="/alerts">Leave it</a>
        </p>
      </div>
    </div>
  </form>`;
}
