import type { Cell, Matrix, MatrixProject } from "../db/queries/fleet-matrix.ts";
import { html, type Html, raw } from "./html.ts";
import { type Part, part } from "./live.ts";
import { percentOf } from "./progress.ts";
import { plural } from "./words.ts";

const classes = { fresh: "f", stale: "s", never: "n" };
/** Cells that stand out whatever their freshness. */
const standsOut: Partial<Record<Cell["state"], string>> = { failed: "x", held: "h" };

function markOf(cell: Cell): string {
  switch (cell.state) {
    case "syncing":
      return `${percentOf(cell)}%`;
    case "held":
      return "H";
    case "failed":
      return "✗";
    case "paused":
      return "P";
    case "waiting":
      return "…";
    default:
      if (cell.behind > 0) return `−${cell.behind}`;
      return { fresh: "✓", stale: "!", never: "–" }[cell.freshness];
  }
}

const stateWords = {
  syncing: "syncing",
  held: "deletions held",
  failed: "failed",
  paused: "paused",
  waiting: "waits for its turn",
  idle: "",
};

/** What a mark means, for cells that are not as they should be. */
function titleOf({ freshness, freshAt, state, behind }: Cell): string {
  if (freshness === "fresh" && state === "idle" && behind === 0) return "";
  const since = freshAt === null ? "" : ` as of ${freshAt.slice(0, 16).replace("T", " ")} UTC`;
  const words = [
    `${freshness}${since}`,
    stateWords[state],
    behind > 0 ? `${plural(behind, "generation")} behind` : "",
  ];
  return ` title="${words.filter(Boolean).join(", ")}"`;
}

// Thousands of cells: they are put together as text. Names are checked when they are made: no character of
// them means anything in HTML, and closing tags and quotes that HTML does not ask for are left out.
function cellText(cell: Cell | null, project: string, host: string): string {
  if (cell === null) return "<td>";
  const freshness = classes[cell.freshness];
  const more = standsOut[cell.state];
  const kind = more === undefined ? freshness : `"${freshness} ${more}"`;
  return `<td class=${kind}${titleOf(cell)}><a href=/at/${project}/${host}>${markOf(cell)}</a>`;
}

const isPlain = (name: string) => /^[a-z0-9._-]+$/.test(name);

/** A project's row. */
export function matrixRow({ name, paused, cells }: MatrixProject, { hosts }: Matrix): Part {
  if (!isPlain(name) || !hosts.every((host) => isPlain(host.name)))
    throw new Error("a name holds what no name may");
  const texts = cells.map((cell, column) => cellText(cell, name, hosts[column]!.name));
  return part({
    id: `p-${name}`,
    tag: "tr",
    content: html`<th scope="row">
        <a href="/projects/${name}">${name}</a
        >${paused && html` <span class="chip wait">P paused</span>`}
      </th>
      ${raw(texts.join(""))}`,
  });
}

type MatrixHost = Matrix["hosts"][number];

/** What stands before a host's name, and what it means; null: nothing. */
function signOf({
  enrolled,
  inContact,
  drained,
}: MatrixHost): { sign: string; title: string } | null {
  if (!enrolled) return { sign: "◷", title: "invited; it has no agent yet" };
  if (!inContact) return { sign: "⚠", title: "out of contact" };
  return drained ? { sign: "P", title: "drained" } : null;
}

/** The hosts' names, with a mark for those that are away, drained or have yet to enrol. */
export const matrixHead = ({ hosts }: Matrix): Part =>
  part({
    id: "matrix-head",
    tag: "tr",
    content: html`<th scope="col">Project</th>
      ${hosts.map((host) => {
        const is = signOf(host);
        return html`<th scope="col">
          <a
            href="/hosts/${host.name}"
            ${is?.sign === "⚠" && html` class="away"`}
            ${is && html` title="${is.title}"`}
            >${is && `${is.sign} `}${host.name}</a
          >
        </th>`;
      })}`,
  });

/** The matrix: projects × hosts. */
export function matrixTable(head: Part, rows: Part[]): Html {
  return html`<div class="matrix">
    <table id="matrix">
      <caption class="hidden">
        Projects and the hosts that carry them
      </caption>
      <thead>
        ${head.html}
      </thead>
      <tbody>
        ${raw(rows.map((row) => String(row.html)).join("\n"))}
      </tbody>
    </table>
  </div>`;
}

/** What colours and marks mean. */
export const legend = html`<details class="legend">
  <summary>Colours and marks</summary>
  <p>
    <span class="key f">✓</span> as fresh as its project’s target asks
    <span class="key s">!</span> stale: longer ago than that <span class="key n">–</span> never
    synced
  </p>
  <p>
    <b>45%</b> syncing, <b>…</b> waits for its turn, <b>✗</b> failed, <b>H</b> deletions held,
    <b>P</b> paused, <b>−3</b> three generations behind; ⚠ a host that is out of contact, ◷ one that
    has yet to enrol
  </p>
</details>`;
