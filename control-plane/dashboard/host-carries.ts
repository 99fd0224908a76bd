import type { Replica } from "../../protocol/project.ts";
import { html, type Html } from "./html.ts";
import { when } from "./words.ts";

function replicaRow(
  { project, host, role, behind, paused, stale, freshAt }: Replica,
  { projectPaused }: { projectPaused: boolean },
): Html {
  const state = projectPaused
    ? html`<span class="chip wait">P project paused</span>`
    : paused
      ? html`<span class="chip wait">P paused here</span>`
      : behind > 0
        ? html`<span class="chip warn">−${behind} behind</span>`
        : stale
          ? html`<span class="chip warn">${freshAt === null ? "– never synced" : "! stale"}</span>`
          : html`<span class="chip good">✓ fresh</span>`;
  return html`<tr>
    <th scope="row"><a href="/projects/${project}">${project}</a></th>
    <td>${role}</td>
    <td>${state}</td>
    <td>${when(freshAt)}</td>
    <td><a href="/at/${project}/${host}">latest task</a></td>
  </tr>`;
}

/** The projects that a host carries; those in `pausedProjects` are paused on all hosts. */
export const hostCarries = (
  replicas: Replica[],
  { pausedProjects }: { pausedProjects: Set<string> },
): Html =>
  html`<section class="card">
    <h2>Carries</h2>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Project</th>
            <th scope="col">Role</th>
            <th scope="col">State</th>
            <th scope="col">Fresh as of</th>
            <th scope="col">Task</th>
          </tr>
        </thead>
        <tbody>
          ${replicas.map((replica) => replicaRow(replica, { projectPaused: pausedProjects.has(replica.project) }))}
        </tbody>
      </table>
    </div>
    ${replicas.length === 0 && html`<p class="faint">Nothing.</p>`}
  </section>`;
