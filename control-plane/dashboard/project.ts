import type { Context, Hono } from "hono";
import type { Project, Replica } from "../../protocol/project.ts";
import type { RunDetail } from "../../protocol/run.ts";
import type { Actor } from "../auth/actor.ts";
import { readAuditEvents } from "../db/queries/audit-events.ts";
import { type Deletions, latestDeletions, readGenerations } from "../db/queries/generations.ts";
import { heldTasks } from "../db/queries/held.ts";
import { latestTaskId, readPulls, readRunsWithTasks } from "../db/queries/project-history.ts";
import { readProject } from "../db/queries/projects.ts";
import { readTask } from "../db/queries/tasks.ts";
import { operationButton } from "./buttons.ts";
import { pullCharts } from "./charts.ts";
import { chip } from "./chips.ts";
import { generationsPart } from "./generations.ts";
import { heldDeletions } from "./held.ts";
import { html, type Html } from "./html.ts";
import { answerPage } from "./layout.ts";
import { type Part, part, streamParts } from "./live.ts";
import { history, settingsList } from "./project-settings.ts";
import { runBars, secondsOf } from "./run-bars.ts";
import { scheduleWords } from "./schedule-words.ts";
import { undoButton } from "./undo.ts";
import { may, type SignedIn } from "./session.ts";
import type { Site } from "./site.ts";
import { duration, plural, when } from "./words.ts";

const shownRuns = 15;
const shownGenerations = 10;

function head(actor: Actor, project: Project, deletions: Deletions | null): Part {
  const { name, description, paused, upstream, parts } = project;
  const path = `/v1/projects/${name}`;
  const back = `/projects/${name}`;
  const hasUpstream = upstream !== null || parts.length > 0;
  const from = upstream ?? (parts.length > 0 ? plural(parts.length, "part") : "hosted here");
  return part({
    id: "project-head",
    className: "head",
    content: html`<h1>${name}</h1>
      ${description && html`<p>${description}</p>`}
      <p>
        ${paused && html`<span class="chip wait">‖ paused</span>`} <code>${from}</code> · generation
        ${project.generation}
        ${project.nextRunAt !== null && html`· next ${when(project.nextRunAt)}`}
      </p>
      <div class="buttons">
        ${operationButton(actor, { path: `${path}/sync`, text: "Sync now", back, kind: "primary" })}
        ${hasUpstream && operationButton(actor, { path: `${path}/dry-run`, text: "Dry run", back })}
        ${operationButton(actor, { path: `${path}/${paused ? "resume" : "pause"}`, text: paused ? "Resume" : "Pause", back })}
        ${undoButton(actor, { project: name, back, deletions })}
        ${may(actor, "admin") && html`<a class="button" href="/projects/${name}/edit">Edit</a>`}
      </div>`,
  });
}

/** Which of the project's published states a replica has. */
function carries({ behind, generation }: Pick<Replica, "behind" | "generation">): Html {
  if (behind > 0) return html`<span class="chip warn">−${behind} behind</span>`;
  if (generation === 0) return html`<span class="chip wait">– nothing yet</span>`;
  return html`<span class="chip good">✓ generation ${generation}</span>`;
}

function replicaRow(
  actor: Actor,
  { project, host, role, behind, paused, syncedAt, freshAt, stale, generation }: Replica,
): Html {
  const path = `/v1/projects/${project}/replicas/${host}`;
  const back = `/projects/${project}`;
  return html`<tr>
    <th scope="row"><a href="/at/${project}/${host}">${host}</a></th>
    <td>${role}</td>
    <td>
      ${paused && html`<span class="chip wait">‖ paused</span>`} ${carries({ behind, generation })}
    </td>
    <td>
      ${freshAt !== null && stale && html`<span class="chip warn">! stale</span>`} ${when(freshAt)}
    </td>
    <td>${when(syncedAt)}</td>
    <td>
      <div class="buttons">
        ${operationButton(actor, { path: `${path}/${paused ? "resume" : "pause"}`, text: paused ? "Resume" : "Pause", back })}
        ${operationButton(actor, { path: `${path}/resync`, text: "Pull again", back })}
      </div>
    </td>
  </tr>`;
}

function replicasPart(actor: Actor, { replicas }: Project): Part {
  return part({
    id: "project-replicas",
    className: "card",
    content: html`<h2>Hosts</h2>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Host</th>
              <th scope="col">Role</th>
              <th scope="col">State</th>
              <th scope="col">Fresh as of</th>
              <th scope="col">Synced</th>
              <th scope="col">${may(actor, "operator") ? "Do" : ""}</th>
            </tr>
          </thead>
          <tbody>
            ${replicas.map((each) => replicaRow(actor, each))}
          </tbody>
        </table>
      </div>`,
  });
}

function runsPart(runs: RunDetail[]): Part {
  const longest = Math.max(1, ...runs.map((run) => secondsOf({ run, tasks: run.tasks })));
  const rows = runs.map((run) => {
    const seconds = secondsOf({ run, tasks: run.tasks });
    return html`<tr>
      <td><a href="/runs/${run.id}">${when(run.startedAt ?? run.scheduledFor)}</a></td>
      <td>${chip(run.state)}</td>
      <td>${run.trigger}</td>
      <td class="num">${run.generation}</td>
      <td class="num">${seconds > 0 && duration(seconds)}</td>
      <td class="wide">
        ${runBars({ run, tasks: run.tasks, seconds: longest })}${run.reason !== null && html`<small>${run.reason}</small>`}
      </td>
    </tr>`;
  });
  return part({
    id: "project-runs",
    className: "card",
    content: html`<h2>Runs</h2>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Began</th>
              <th scope="col">State</th>
              <th scope="col">Trigger</th>
              <th scope="col">Generation</th>
              <th scope="col">Time</th>
              <th scope="col">Pull, and each host’s hop</th>
            </tr>
          </thead>
          <tbody>
            ${rows}
          </tbody>
        </table>
      </div>
      ${runs.length === 0 && html`<p class="faint">It has not run yet: a dry run shows what its first sync would bring.</p>`}`,
  });
}

async function heldPart({ ctx }: Site, actor: Actor, { name }: Project): Promise<Part> {
  const held = await heldTasks(ctx, { project: name });
  const tasks = await Promise.all(held.map((id) => readTask(ctx, { id })));
  const back = `/projects/${name}`;
  return part({
    id: "project-held",
    content: html`${tasks.map((task) => heldDeletions(actor, { task, back }))}`,
  });
}

async function projectParts(site: Site, actor: Actor, { name }: { name: string }): Promise<Part[]> {
  const project = await readProject(site.ctx, { name });
  const runs = await readRunsWithTasks(site.ctx, { project: name, limit: shownRuns });
  const generations = await readGenerations(site.ctx, { project: name, limit: shownGenerations });
  return [
    head(actor, project, await latestDeletions(site.ctx, { project: name })),
    await heldPart(site, actor, project),
    replicasPart(actor, project),
    runsPart(runs),
    generationsPart({ generations, replicas: project.replicas }),
  ];
}

function removal({ name, version }: Project): Html {
  return html`<details class="card">
    <summary>Remove this project</summary>
    <form method="post" action="/projects/${name}/delete">
      <p>Its runs and logs go with it; its files stay on the hosts.</p>
      <input type="hidden" name="version" value="${version}" />
      <p class="field">
        <label for="delete-name">Type its name</label
        ><input id="delete-name" name="name" required autocomplete="off" />
      </p>
      <button class="danger">Remove ${name}</button>
    </form>
  </details>`;
}

async function answerProject(site: Site, c: Context<SignedIn>) {
  const { ctx } = site;
  const actor = c.get("actor");
  const name = c.req.param("name") ?? "";
  const project = await readProject(ctx, { name });
  const parts = await projectParts(site, actor, { name });
  const pulls = await readPulls(ctx, { project: name, limit: 200 });
  const target = `/v1/projects/${name}`;
  const { items } = may(actor, "admin")
    ? await readAuditEvents(ctx, { target, limit: 50 })
    : { items: null };
  // Another project's name may begin with this one's.
  const events = items?.filter((event) => `${event.target}/`.startsWith(`${target}/`));
  const { schedule, zone } = project;
  return answerPage(site, c, {
    title: name,
    section: "fleet",
    charts: true,
    live: `/projects/${name}/live`,
    content: html`${parts.map((each) => each.html)}
      <div class="columns">
        <section class="card">
          <h2>Schedule</h2>
          ${schedule === null ? html`<p class="faint">None: it syncs when triggered.</p>` : scheduleWords({ schedule, zone })}
        </section>
        <section class="card">
          <h2>Settings</h2>
          <details>
            <summary>Show all</summary>
            ${settingsList(project)}
          </details>
        </section>
      </div>
      <section class="card">
        <h2>Pulls over time</h2>
        ${pullCharts(pulls)}
      </section>
      ${
        events &&
        html`<section class="card">
          <h2>History</h2>
          ${history(events)}
        </section>`
      }
      ${may(actor, "admin") && removal(project)}`,
  });
}

/** One project. */
export function addProjectPages(app: Hono<SignedIn>, site: Site): void {
  app.get("/projects/:name", (c) => answerProject(site, c));
  app.get("/projects/:name/live", (c) =>
    streamParts(site.ctx, c, {
      everySeconds: 2,
      read: async () => ({
        parts: await projectParts(site, c.get("actor"), { name: c.req.param("name") }),
      }),
    }),
  );
  app.get("/at/:project/:host", async (c) => {
    const { project, host } = c.req.param();
    const id = await latestTaskId(site.ctx, { project, host });
    return c.redirect(
      id === null ? `/projects/${encodeURIComponent(project)}` : `/tasks/${id}`,
      303,
    );
  });
}
