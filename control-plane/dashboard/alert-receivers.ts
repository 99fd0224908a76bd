import { alertConditions, type Receiver } from "../../protocol/alert.ts";
import type { Actor } from "../auth/actor.ts";
import { operationButton } from "./buttons.ts";
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
            </form>
            <a class="button" href="/alerts/receivers/${name}/edit">Edit</a>`
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
