import type { AppError } from "../../protocol/errors.ts";
import { formText } from "./form-body.ts";
import { html, type Html, verbatim } from "./html.ts";
import { visible } from "./visible.ts";

/** What fields are filled with: what was sent before, else what is stored. */
export type Filled = {
  /** Stands before the ids of its fields, where a page has several forms. */
  form?: string;
  sent: URLSearchParams | null;
  stored: unknown;
  error: AppError | null;
};

type Field = {
  /** With its kind: `number:rsync.bandwidthKiBps`. */
  name: string;
  label: string;
  hint?: string;
  type?: "text" | "number" | "password" | "area";
  options?: { value: string; text: string }[];
  required?: boolean;
  extra?: Html;
};

const pathOf = (name: string) => name.slice(name.indexOf(":") + 1);
const idOf = ({ form }: Filled, name: string) =>
  `${form === undefined ? "" : `${form}-`}${pathOf(name).replaceAll(".", "-")}`;

function valueOf({ sent, stored }: Filled, name: string): string {
  if (sent?.has(name)) return sent.getAll(name).at(-1)!;
  let value = stored;
  for (const key of pathOf(name).split("."))
    value = (value as Record<string, unknown> | null | undefined)?.[key];
  return formText(name.slice(0, name.indexOf(":")), value);
}

/** What was wrong with a field, or with a part of it. */
const errorsOf = ({ error }: Filled, name: string) =>
  (error?.fields ?? []).filter(({ field }) => `${field}.`.startsWith(`${pathOf(name)}.`));

function control(filled: Filled, field: Field, attributes: Html): Html {
  const { name, type = "text", options, required, extra = "" } = field;
  const value = valueOf(filled, name);
  const id = idOf(filled, name);
  const rest = html`${attributes}${required && html` required`} ${extra}`;
  if (options)
    return html`<select id="${id}" name="${name}" ${rest}>
      ${options.map(
        (each) =>
          html`<option value="${each.value}" ${each.value === value && html` selected`}>
            ${each.text}
          </option>`,
      )}
    </select>`;
  if (type === "area")
    return html`<textarea id="${id}" name="${name}" rows="3" spellcheck="false" ${rest}>
${verbatim(value)}</textarea>`;
  if (type === "password")
    return html`<input
      id="${id}"
      name="${name}"
      type="password"
      autocomplete="new-password"
      ${rest}
    />`;
  const numeric = type === "number" && html` inputmode="numeric"`;
  return html`<input
    id="${id}"
    name="${name}"
    value="${verbatim(value)}"
    spellcheck="false"
    autocomplete="off"
    ${numeric}
    ${rest}
  />`;
}

/** A field with its label, its hint, and what was wrong with it. */
export function field(filled: Filled, described: Field): Html {
  const { name, label, hint } = described;
  const id = idOf(filled, name);
  const errors = errorsOf(filled, name);
  const value = described.type === "password" ? "" : valueOf(filled, name);
  const unseen = visible(value) !== value.replaceAll("\r\n", "\n");
  const hintId =
    hint !== undefined || errors.length > 0 || unseen ? html` aria-describedby="${id}-hint"` : "";
  const invalid = errors.length > 0 && html` aria-invalid="true"`;
  return html`<p class="field">
    <label for="${id}">${label}</label>${control(filled, described, html`${hintId}${invalid}`)}
    <small id="${id}-hint"
      >${hint}${unseen && html` <strong>Holds what is not seen: ${value}</strong>`}${errors.map(({ message }) => html` <strong class="bad">${message}</strong>`)}</small
    >
  </p>`;
}

/** A box to tick. */
export function tick(filled: Filled, { name, label }: Pick<Field, "name" | "label">): Html {
  const checked = valueOf(filled, name) === "true" && html` checked`;
  return html`<p class="field">
    <input type="hidden" name="${name}" value="false" /><label
      ><input type="checkbox" name="${name}" value="true" ${checked} /> ${label}</label
    >
  </p>`;
}

/** What was wrong as a whole, at a form's head; fields tell the rest. */
export function formError({ error }: Filled): Html | "" {
  if (!error) return "";
  return html`<div class="note bad" role="alert">
    <p><strong>It was not saved.</strong></p>
    ${
      error.fields.length === 0
        ? html`<p>${error.message}</p>`
        : html`<ul>
            ${error.fields.map(({ field: name, message }) => html`<li>${name}: ${message}</li>`)}
          </ul>`
    }
  </div>`;
}
