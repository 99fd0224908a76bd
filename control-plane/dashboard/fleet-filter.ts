import { z } from "zod";
import type { Cell, Matrix, MatrixProject } from "../db/queries/fleet-matrix.ts";
import { html, type Html } from "./html.ts";

const kinds = {
  all: "all",
  attention: "what needs a person",
  syncing: "syncing",
  failed: "failed",
  held: "held",
  stale: "stale",
  behind: "behind",
  paused: "paused",
} as const;
const orders = { name: "name", urgency: "urgency", freshness: "oldest first" } as const;

type Kind = keyof typeof kinds;

const filterSchema = z.object({
  q: z.string().max(100).catch(""),
  host: z.string().max(100).catch(""),
  show: z.enum(Object.keys(kinds) as [Kind]).catch("all"),
  sort: z.enum(Object.keys(orders) as [keyof typeof orders]).catch("name"),
});
export type Filter = z.output<typeof filterSchema>;

/** What of the fleet is asked for; what makes no sense is as if it were not there. */
export const filterOf = (query: Record<string, string>): Filter => filterSchema.parse(query);

const isUnfresh = ({ freshness }: Cell) => freshness !== "fresh";
const needsPerson = (cell: Cell) =>
  cell.state === "held" || cell.state === "failed" || (isUnfresh(cell) && cell.state !== "paused");

const tests: Record<Exclude<Kind, "all">, (cell: Cell) => boolean> = {
  attention: needsPerson,
  syncing: ({ state }) => state === "syncing",
  failed: ({ state }) => state === "failed",
  held: ({ state }) => state === "held",
  stale: isUnfresh,
  behind: ({ behind }) => behind > 0,
  paused: ({ state }) => state === "paused",
};

const carried = ({ cells }: MatrixProject) => cells.filter((cell) => cell !== null);

function urgency(project: MatrixProject): number {
  const weigh = (cell: Cell) =>
    (cell.state === "held" ? 1000 : 0) +
    (cell.state === "failed" ? 100 : 0) +
    (needsPerson(cell) ? 1 : 0);
  return carried(project).reduce((sum, cell) => sum + weigh(cell), 0);
}

const oldest = (project: MatrixProject) =>
  carried(project)
    .map(({ freshAt }) => freshAt ?? "")
    .toSorted()[0] ?? "";

function compare({ sort }: Filter) {
  if (sort === "urgency")
    return (left: MatrixProject, right: MatrixProject) => urgency(right) - urgency(left);
  return (left: MatrixProject, right: MatrixProject) => (oldest(left) < oldest(right) ? -1 : 1);
}

/** The part of the matrix that is asked for. */
export function filtered(matrix: Matrix, filter: Filter): Matrix {
  const { q, host, show, sort } = filter;
  const columns = matrix.hosts.flatMap(({ name }, index) => (name.includes(host) ? [index] : []));
  const pick = <Item>(items: Item[]) => columns.map((column) => items[column]!);
  const projects = matrix.projects
    .filter(({ name }) => name.includes(q))
    .map(({ id, name, paused, nextRunAt, cells }) => ({
      id,
      name,
      paused,
      nextRunAt,
      cells: host === "" ? cells : pick(cells),
    }))
    .filter((project) => show === "all" || carried(project).some(tests[show]));
  return {
    hosts: pick(matrix.hosts),
    projects: sort === "name" ? projects : projects.toSorted(compare(filter)),
  };
}

/** The form that asks for a part of the matrix. */
export function filterForm({ q, host, show, sort }: Filter): Html {
  const choice = (all: Record<string, string>, chosen: string) =>
    Object.entries(all).map(
      ([value, text]) =>
        html`<option value="${value}" ${value === chosen && html` selected`}>${text}</option>`,
    );
  return html`<form class="filters" role="search" action="/">
    <label>Project <input name="q" type="search" value="${q}" size="14" /></label>
    <label>Host <input name="host" type="search" value="${host}" size="10" /></label>
    <label
      >Show
      <select name="show">
        ${choice(kinds, show)}
      </select></label
    >
    <label
      >Sort by
      <select name="sort">
        ${choice(orders, sort)}
      </select></label
    >
    <button>Show</button>
  </form>`;
}
