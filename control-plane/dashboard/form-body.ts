import { AppError } from "../../protocol/errors.ts";

const refused = (field: string, message: string) =>
  new AppError("invalid-input", `${field} ${message}`, { fields: [{ field, message }] });

const lines = (text: string) =>
  text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter(Boolean);

/** Include and exclude rules, one a line: "+ /pool/**", "- *.iso". */
function filters(text: string, field: string) {
  return lines(text).map((line) => {
    const [, sign, pattern] = /^([+-])\s+(.+)$/.exec(line) ?? [];
    if (pattern === undefined)
      throw refused(field, `must begin each line with "+ " or "- ": "${line}" does not`);
    return { action: sign === "+" ? "include" : "exclude", pattern };
  });
}

/** Labels, one a line: "site=nyc". */
function labels(text: string, field: string) {
  return Object.fromEntries(
    lines(text).map((line) => {
      const [, key, value] = /^([^=\s]+)\s*=\s*(.*)$/.exec(line) ?? [];
      if (key === undefined)
        throw refused(field, `must be "name=value" on each line: "${line}" is not`);
      return [key, value];
    }),
  );
}

/** How a field's text becomes a value; its kind stands before its name: `number:rsync.bandwidthKiBps`. */
const readers: Record<string, (text: string, field: string) => unknown> = {
  text: (text) => text,
  optional: (text) => (text.trim() === "" ? null : text.trim()),
  number: (text, field) => {
    if (text.trim() === "") return null;
    if (!/^\s*\d{1,15}\s*$/.test(text)) throw refused(field, "must be a whole number");
    return Number(text);
  },
  flag: (text) => text === "true",
  lines,
  filters,
  labels,
  "optional-lines": (text) => (lines(text).length === 0 ? null : lines(text)),
};

/** The JSON that a form means. Fields without a kind are not part of it. Of a name that comes twice, the last counts. */
export function formBody(form: URLSearchParams): Record<string, unknown> {
  const body: Record<string, unknown> = Object.create(null);
  for (const [name, text] of form) {
    const [, kind = "", field = ""] = /^([a-z-]+):([a-zA-Z.]{1,100})$/.exec(name) ?? [];
    const read = readers[kind];
    if (!read) continue;
    const path = field.split(".");
    const last = path.pop()!;
    let at = body;
    for (const key of path) {
      at = (at[key] ??= Object.create(null)) as Record<string, unknown>;
      if (typeof at !== "object") throw refused(field, "lies within another field");
    }
    at[last] = read(text, field);
  }
  return body;
}

type Filter = { action: string; pattern: string };

/** The text that a form shows for a value: the inverse of the reader of its kind. */
export function formText(kind: string, value: unknown): string {
  if (value === null || value === undefined) return "";
  if (kind === "filters")
    return (value as Filter[])
      .map(({ action, pattern }) => `${action === "include" ? "+" : "-"} ${pattern}`)
      .join("\n");
  if (kind === "labels")
    return Object.entries(value as Record<string, string>)
      .map(([key, text]) => `${key}=${text}`)
      .join("\n");
  if (typeof value === "string") return value;
  return Array.isArray(value) ? value.join("\n") : JSON.stringify(value);
}
