import { html, type Html } from "./html.ts";

/** A number of bytes for people: "55.6 GB". */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB", "PB"];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(value < 9.95 ? 2 : value < 99.5 ? 1 : 0)} ${units[unit]}`;
}

/** A number with its thousands apart. */
export const count = (number: number) => number.toLocaleString("en-US").replaceAll(",", "\u202F");

/** Seconds for people: "3 min 20 s". */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.round(hours / 24)} days`;
}

/** A time, in UTC; the browser's script tells how long ago it was, or how soon it will be. */
export const when = (iso: string | null): Html =>
  iso === null
    ? html`<span class="faint">never</span>`
    : html`<time datetime="${iso}">${iso.slice(0, 16).replace("T", " ")} UTC</time>`;

/** Seconds between two times; to now where the second is not yet. */
export const secondsBetween = (from: string, to: string | null) =>
  Math.max(0, ((to === null ? Date.now() : Date.parse(to)) - Date.parse(from)) / 1000);

/** A path below a project's tree; "." is the tree itself. */
export const pathBelow = (path: string): Html =>
  path === "." ? html`(the top directory)` : html`<code>${path}</code>`;

/** A count of things: "1 file", "3 files". */
export const plural = (number: number, one: string, many = `${one}s`) =>
  `${count(number)} ${number === 1 ? one : many}`;
