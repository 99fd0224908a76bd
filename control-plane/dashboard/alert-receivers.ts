import { alertConditions, type Receiver, receiverKinds } from "../../protocol/alert.ts";
import type { Actor } from "../auth/actor.ts";
import { operationButton } from "./buttons.ts";
import { field, type Filled, formError } from "./fields.ts";
import { html, type Html } from "./html.ts";
import { may } from "./session.ts";
import { plural, when } from "./words.ts";

const back = "/alerts";
/** Hours for which a receiver can be told to be silent. */
const silences: Record<string, number> = {
  "1 hour": 1,
  "4 hours": 4,
  "1 day": 24,
  "1 week": 168,
};

const isSilent = ({ silencedUntil }: Receiver) =>
  silencedUntil !== null && Date.parse(silencedUntil) > Date.now();

function stateOf(receiver: Receiver): Html {
  const { silencedUntil, waitingMessages, lastError, lastDeliveredAt } = receiver;
  return html`${isSilent(receiver) && html`<span class="chip wait">‖ silent</span> until ${when(silencedUntil)}<br />`}
  ${
    waitingMessages > 0
      ? html`<span class="chip bad">! ${plural(waitingMessages, "message")} waiting</span>
          <small class="said">${lastError ?? "being sent"}</small>`
      : html`<small
          >${lastDeliveredAt === null ? "told nothing yet" : html`told ${when(lastDeliveredAt)}`}</small
        >`
  }`;
}

const namesOf = (names: string[] | null, all: string) =>
  names === null ? all : html`${names.map((name) => html`<code>${name}</code> `)}`;

function silenceForm(receiver: Receiver): Html {
  const path = `/alerts/receivers/${receiver.name}/silence`;
  if (isSilent(receiver))
    return html`<form method="post" action="${path}">
      <input type="hidden" name="hours" value="" /><button>Let it speak</button>
    </form>`;
  return html`<form method="post" action="${path}" class="inline">
    <select name="hours" aria-label="Silence ${receiver.name} for">
      ${Object.entries(silences).map(([text, hours]) => html`<option value="${hours}">${text}</option>`)}
    </select>
    <button>Silence</button>
  </form>`;
}

function receiverRow(actor: Actor, receiver: Receiver): Html {
  const { name, kind, address, room, to, conditions, projects, hosts } = receiver;
  return html`<tr>
    <th scope="row">${name}</th>
    <td>
      ${kind} <code>${address}</code> ${room !== null && html`<code>${room}</code>`}
      ${to.map((each) => html`<code>${each}</code> `)}
    </td>
    <td>${conditions.length === alertConditions.length ? "everything" : conditions.join(", ")}</td>
    <td>${namesOf(projects, "all projects")} on ${namesOf(hosts, "all hosts")}</td>
    <td>${stateOf(receiver)}</td>
    <td>
      <div class="buttons">
        ${silenceForm(receiver)}
        ${
          may(actor, "admin") &&
          html`<form method="post" action="/alerts/receivers/${name}/test">
            <button>Test</button>
          </form>`
        }
        ${operationButton(actor, { action: `/alerts/receivers/${name}/delete`, text: "Remove", back, needs: "admin", kind: "danger", confirm: `${name} is told nothing any more; what waits for it goes, too.` })}
      </div>
    </td>
  </tr>`;
}

/** Who is told of alerts. */
export function receiversTable(actor: Actor, receivers: Receiver[]): Html {
  return html`<section class="card">
    <h2>Who is told</h2>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Receiver</th>
            <th scope="col">By</th>
            <th scope="col">Of</th>
            <th scope="col">Where</th>
            <th scope="col">State</th>
            <th scope="col">Do</th>
          </tr>
        </thead>
        <tbody>
          ${receivers.map((each) => receiverRow(actor, each))}
        </tbody>
      </table>
    </div>
    ${receivers.length === 0 && html`<p class="faint">Nobody yet.</p>`}
  </section>`;
}

function conditionBoxes({ sent }: Filled): Html {
  const chosen = sent?.getAll("condition") ?? [...alertConditions];
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

/** The form that makes one. */
export function receiverForm(filled: Filled): Html {
  return html`<form method="post" action="/alerts/receivers" class="card" id="new-receiver">
    <h2>Tell somebody else</h2>
    ${formError(filled)}
    <div class="columns">
      <div>
        ${field(filled, { name: "text:name", label: "Name", required: true, hint: "on-call" })}
        ${field(filled, { name: "text:kind", label: "By", options: receiverKinds.map((kind) => ({ value: kind, text: kind })) })}
        ${field(filled, { name: "text:url", label: "URL", required: true, hint: "Of the webhook, the Matrix homeserver, or smtp:// or smtps:// with user and password. It cannot be read again" })}
        ${field(filled, { name: "optional:secret", label: "Secret", type: "password", hint: "Of a webhook the signing secret (whsec_…), of Matrix the access token" })}
        ${field(filled, { name: "optional:room", label: "Matrix room", hint: "!abc:example.org" })}
        ${field(filled, { name: "optional:from", label: "Mail from", hint: "mirror@example.org" })}
        ${field(filled, { name: "lines:to", label: "Mail to", type: "area", hint: "Addresses, one a line" })}
      </div>
      <div>
        ${conditionBoxes(filled)}
        ${field(filled, { name: "optional-lines:projects", label: "Projects", type: "area", hint: "One a line; none: all, and hosts" })}
        ${field(filled, { name: "optional-lines:hosts", label: "Hosts", type: "area", hint: "One a line; none: all" })}
        ${field(filled, { name: "number:remindHours", label: "Told again after hours", type: "number", hint: "None: never" })}
        <button>Add it</button>
      </div>
    </div>
  </form>`;
}
