import { html as escaping, raw } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import { visible } from "./visible.ts";

export type Html = HtmlEscapedString;

function shown(value: unknown): unknown {
  if (typeof value === "string") return visible(value);
  return Array.isArray(value) ? value.map(shown) : value;
}

/**
 * HTML in which every text is escaped, and shows what is invisible in it: names, messages and logs come
 * from strangers. Nothing here is a promise, so neither is the result.
 */
export const html = (strings: TemplateStringsArray, ...values: unknown[]): Html =>
  escaping(strings, ...values.map(shown)) as Html;

/** Text that a form sends back, escaped and else as it is: made visible, it would come back as something else. */
export const verbatim = (text: string): Html => escaping`${text}` as Html;

export { raw };
