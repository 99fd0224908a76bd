import type { OperatorScope } from "../../protocol/token.ts";
import type { Actor } from "../auth/actor.ts";
import { html, type Html } from "./html.ts";
import { may } from "./session.ts";

/**
 * A button that runs an operation of the REST interface; nothing for those who may not. With `confirm` it
 * opens a second one first, which works without a script.
 */
export function operationButton(
  actor: Actor,
  {
    path,
    action = `/do${path}`,
    text,
    back,
    needs = "operator",
    confirm,
    kind = "",
    fields = {},
  }: {
    /** Of the operation. */
    path?: string;
    /** Page that runs it; left out: the one for all buttons. */
    action?: string;
    text: string;
    /** Page to return to. */
    back: string;
    needs?: OperatorScope;
    confirm?: string;
    kind?: "" | "primary" | "danger";
    /** Body of the request. */
    fields?: Record<string, string>;
  },
): Html | "" {
  if (!may(actor, needs)) return "";
  const inputs = Object.entries({ ...fields, back }).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`,
  );
  const form = (label: string) =>
    html`<form method="post" action="${action}">
      ${inputs}<button class="${kind}">${label}</button>
    </form>`;
  if (confirm === undefined) return form(text);
  return html`<details class="confirm">
    <summary class="button ${kind}">${text}</summary>
    <div class="card">
      <p>${confirm}</p>
      ${form(`Yes: ${text.toLowerCase()}`)}
    </div>
  </details>`;
}
