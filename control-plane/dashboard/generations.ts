import type { Replica } from "../../protocol/project.ts";
import type { Generation } from "../db/queries/generations.ts";
import { html, type Html } from "./html.ts";
import { type Part, part } from "./live.ts";
import { count, when } from "./words.ts";

/** Hosts that are named before the rest is counted. */
const named = 12;

function hostsOf(replicas: Replica[], generation: number): Html {
  const at = replicas.filter((replica) => replica.generation === generation);
  return html`${at.slice(0, named).map(({ host }) => html`<a href="/hosts/${host}">${host}</a> `)}${at.length > named && html`and ${count(at.length - named)} more`}`;
}

/** The project's published states, who published them, and which hosts carry them. */
export function generationsPart({
  generations,
  replicas,
}: {
  generations: Generation[];
  replicas: Replica[];
}): Part {
  const older = replicas.filter(
    ({ generation }) => !generations.some((each) => each.generation === generation),
  );
  return part({
    id: "project-generations",
    className: "card",
    content: html`<h2>Generations</h2>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Generation</th>
              <th scope="col">Published</th>
              <th scope="col">By</th>
              <th scope="col">Paths changed</th>
              <th scope="col">Carried by</th>
            </tr>
          </thead>
          <tbody>
            ${generations.map(
              ({ generation, run, trigger, at, entries }) =>
                html`<tr>
                  <th scope="row">${generation}</th>
                  <td><a href="/runs/${run}">${when(at)}</a></td>
                  <td>${trigger}</td>
                  <td class="num">
                    ${entries === null ? html`<small>no list</small>` : count(entries)}
                  </td>
                  <td>${hostsOf(replicas, generation)}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
      ${generations.length === 0 && html`<p class="faint">Nothing has been published yet.</p>`}
      ${
        generations.length > 0 &&
        older.length > 0 &&
        html`<p class="faint">
          Older, or nothing yet:
          ${older.map(({ host, generation }) => html`${host} (${generation}) `)}
        </p>`
      }`,
  });
}
