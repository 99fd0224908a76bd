import { styleText } from "node:util";

/** A number of bytes for people: "55.6 GB". */
export function size(bytes: number): string {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** Text from the server without what a terminal would obey. */
export const harmless = (text: string) => text.replaceAll(/[\p{Cc}\p{Cf}]/gu, "\uFFFD");

/** A time as "2026-11-24 13:05:00 UTC"; "never" for none. */
export const time = (iso: string | null) =>
  iso === null ? "never" : `${iso.slice(0, 19).replace("T", " ")} UTC`;

/** How long ago a time was: "3 min ago". */
export function ago(iso: string | null, now = Date.now()): string {
  if (iso === null) return "never";
  const seconds = Math.max(0, Math.round((now - Date.parse(iso)) / 1000));
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172_800
    ? `${Math.round(seconds / 3600)} h ago`
    : `${Math.round(seconds / 86_400)} d ago`;
}

/** A number of seconds for people: "90 min". */
export function duration(seconds: number): string {
  if (seconds < 600) return `${seconds} s`;
  if (seconds < 36_000) return `${Math.round(seconds / 60)} min`;
  return seconds < 360_000
    ? `${Math.round(seconds / 3600)} h`
    : `${Math.round(seconds / 86_400)} d`;
}

const colours: Record<string, "green" | "red" | "yellow" | "cyan"> = {
  succeeded: "green",
  enrolled: "green",
  failed: "red",
  revoked: "red",
  running: "cyan",
  leased: "cyan",
  distributing: "cyan",
  queued: "yellow",
  paused: "yellow",
  stale: "red",
  drained: "yellow",
  invited: "yellow",
  cancelled: "yellow",
  lost: "red",
  skipped: "yellow",
};

/** A state in its colour, where the terminal shows colours and NO_COLOR is not set. */
function coloured(text: string): string {
  const colour = colours[text.trim()];
  return colour === undefined ? text : styleText(colour, text, { stream: process.stdout });
}

/** Rows in aligned columns below a head. */
export function table(head: string[], rows: (string | number | null)[][]): string {
  const cells = rows.map((row) => row.map((cell) => harmless(String(cell ?? "-"))));
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]!.length)),
  );
  const pad = (row: string[]) => row.map((cell, column) => cell.padEnd(widths[column]!));
  const lines = [pad(head), ...cells.map((row) => pad(row).map(coloured))];
  return lines.map((row) => row.join("  ").trimEnd()).join("\n");
}

/** Names and values in two columns. */
export function listing(pairs: [string, string | number | null][]): string {
  const width = Math.max(...pairs.map(([name]) => name.length)) + 2;
  return pairs
    .map(
      ([name, value]) => `${`${name}:`.padEnd(width)}${coloured(harmless(String(value ?? "-")))}`,
    )
    .join("\n");
}
