import type { OperatorToken } from "../../protocol/token.ts";
import type { Actor } from "../auth/actor.ts";
import { operationButton } from "./buttons.ts";
import { field, type Filled, formError } from "./fields.ts";
import { html, type Html } from "./html.ts";
import { when } from "./words.ts";

const back = "/admin";

/** The operator tokens that there are. */
export function tokenTable(actor: Actor, all: OperatorToken[]): Html {
  const stateOf = ({ revokedAt, expiresAt }: OperatorToken) =>
    revokedAt !== null
      ? html`<span class="chip wait">⊘ revoked</span>`
      : expiresAt !== null && Date.parse(expiresAt) < Date.now()
        ? html`<span class="chip wait">⊘ expired</span>`
        : html`<span class="chip good">✓ valid</span>`;
  return html`<section class="card">
    <h2>Operator tokens</h2>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Scope</th>
            <th scope="col">State</th>
            <th scope="col">Used</th>
            <th scope="col">Expires</th>
            <th scope="col">Do</th>
          </tr>
        </thead>
        <tbody>
          ${all.map(
            (token) =>
              html`<tr>
                <th scope="row">${token.name}</th>
                <td>${token.scope}</td>
                <td>${stateOf(token)}</td>
                <td>${when(token.lastUsedAt)}</td>
                <td>${when(token.expiresAt)}</td>
                <td>
                  ${token.revokedAt === null && operationButton(actor, { path: `/v1/tokens/${token.id}/revoke`, text: "Revoke", back, needs: "admin", kind: "danger", confirm: `${token.name} can do nothing any more, at once.` })}
                </td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

/** Makes another one. */
export function tokenForm(filled: Filled): Html {
  return html`<form method="post" action="/admin/tokens" class="card">
    <h2>Make an operator token</h2>
    ${formError(filled)}
    ${field(filled, { name: "text:name", label: "Whose it is, or what for", required: true })}
    ${field(filled, { name: "text:scope", label: "Scope", hint: "viewer, operator, admin, or trigger:PROJECT" })}
    ${field(filled, { name: "optional:expiresAt", label: "Expires", hint: "2027-01-31T00:00:00Z; none: never" })}
    <button>Make it</button>
  </form>`;
}
