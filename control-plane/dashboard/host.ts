import type { Context, Hono } from "hono";
import { AppError } from "../../protocol/errors.ts";
import type { Host } from "../../protocol/host.ts";
import type { Replica } from "../../protocol/project.ts";
import type { Task } from "../../protocol/run.ts";
import type { Actor } from "../auth/actor.ts";
import { readHost, readHosts } from "../db/queries/hosts.ts";
import { readReplicaPage } from "../db/queries/replicas.ts";
import { contactSeconds } from "../db/queries/settings.ts";
import { readTasks } from "../db/queries/tasks.ts";
import { operationButton } from "./buttons.ts";
import { taskChip } from "./chips.ts";
import { field, type Filled, formError } from "./fields.ts";
import { formBody } from "./form-body.ts";
import { html, type Html } from "./html.ts";
import { answerPage } from "./layout.ts";
import { type Part, part, streamParts } from "./live.ts";
import { progressOf } from "./progress.ts";
import { may, type SignedIn } from "./session.ts";
import type { Site } from "./site.ts";
import { count, plural, secondsBetween, size, when } from "./words.ts";

/** Replicas and tasks that a page shows. */
const most = 1000;

function stateOf({ state, drained, lastSeenAt }: Host): Html {
  if (state === "revoked") return html`<span class="chip bad">✗ revoked</span>`;
  if (state === "quarantined") return html`<span class="chip bad">⚠ quarantined</span>`;
  if (state === "invited") return html`<span class="chip wait">◷ invited</span>`;
  const away = lastSeenAt === null || secondsBetween(lastSeenAt, null) > contactSeconds;
  return html`${away ? html`<span class="chip bad">⚠ out of contact</span>` : html`<span class="chip good">✓ in contact</span>`}${drained && html` <span class="chip wait">P drained</span>`}`;
}

function skewOf({ clockSkewSeconds: skew }: Host): string {
  if (skew === null) return "";
  return Math.abs(skew) < 0.5 ? "right" : `${skew > 0 ? "+" : "−"}${Math.abs(skew).toFixed(1)} s`;
}

/** What becomes of files that a sync deletes. */
function deletedWords({ quarantineDays: days }: Host): string {
  if (days === null) return "not known: its agent is too old to say";
  return days === 0 ? "gone at once: it has no quarantine" : `kept for ${plural(days, "day")}`;
}

/** Share of a root that is taken, as a meter with its words. */
function disk({
  path,
  totalBytes,
  freeBytes,
  totalInodes,
  freeInodes,
  fullAt,
}: Host["disks"][number]): Html {
  const taken = totalBytes > 0 ? (100 * (totalBytes - freeBytes)) / totalBytes : 0;
  return html`<li>
    <code>${path}</code><br /><meter
      min="0"
      max="100"
      high="90"
      value="${Math.round(taken)}"
      aria-label="Taken"
    ></meter>
    <small
      >${taken.toFixed(0)} % taken, ${size(freeBytes)} of ${size(totalBytes)}
      free${totalInodes > 0 && html`, ${count(freeInodes)} inodes free`}${fullAt !== null && html`; full about <time datetime="${fullAt}">${fullAt.slice(0, 10)}</time> if it goes on as of late`}</small
    >
  </li>`;
}

function hostRow(host: Host): Html {
  const free = host.disks.map(({ freeBytes }) => freeBytes);
  return html`<tr>
    <th scope="row"><a href="/hosts/${host.name}">${host.name}</a></th>
    <td>${host.roles.join(", ")}</td>
    <td>${stateOf(host)}</td>
    <td class="num">${host.runningTasks}${host.parallel !== null && ` of ${host.parallel}`}</td>
    <td>${host.agentVersion}</td>
    <td>${host.rsyncVersion}</td>
    <td class="num">${free.length > 0 && size(Math.min(...free))}</td>
    <td class="num">${skewOf(host)}</td>
    <td>${when(host.lastSeenAt)}</td>
  </tr>`;
}

function facts(host: Host): Html {
  const { roots, disks } = host;
  const silent = roots.filter((root) => !disks.some(({ path }) => path === root));
  return html`<dl class="facts">
    <dt>Roles</dt>
    <dd>${host.roles.join(", ")}</dd>
    <dt>Addresses</dt>
    <dd>${host.addresses.join(", ")}</dd>
    <dt>Labels</dt>
    <dd>
      ${Object.entries(host.labels).map(([key, value]) => html`<code>${key}=${value}</code> `)}
    </dd>
    <dt>Tasks at a time</dt>
    <dd>${host.parallel ?? "as its agent is set"}</dd>
    ${
      host.roles.includes("master") &&
      html`<dt>Serves at a time</dt>
        <dd>${host.serves ?? "all"}</dd>`
    }
    <dt>Agent</dt>
    <dd>${host.agentVersion}</dd>
    <dt>rsync</dt>
    <dd>${host.rsyncVersion}</dd>
    <dt>Deleted files</dt>
    <dd>${deletedWords(host)}</dd>
    <dt>Clock</dt>
    <dd>${skewOf(host) || "not known yet"}</dd>
    <dt>Mirror roots</dt>
    <dd>
      <ul class="paths">
        ${disks.map(disk)}${silent.map((path) => html`<li><code>${path}</code> <small>has not said how full it is</small></li>`)}
      </ul>
    </dd>
  </dl>`;
}

function running(tasks: Task[]): Html {
  if (tasks.length === 0) return html`<p class="faint">Nothing runs on it.</p>`;
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          <th scope="col">Project</th>
          <th scope="col">State</th>
          <th scope="col">How far</th>
        </tr>
      </thead>
      <tbody>
        ${tasks.map(
          (task) =>
            html`<tr>
              <th scope="row"><a href="/tasks/${task.id}">${task.project}</a></th>
              <td>${taskChip(task)}</td>
              <td>${progressOf(task)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

async function hostParts({ ctx }: Site, actor: Actor, { name }: { name: string }): Promise<Part[]> {
  const host = await readHost(ctx, { name });
  const { items } = await readTasks(ctx, { host: name, state: "leased", limit: 100 });
  const path = `/v1/hosts/${name}`;
  const back = `/hosts/${name}`;
  return [
    part({
      id: "host-head",
      className: "head",
      content: html`<h1>${name}</h1>
        <p>${stateOf(host)} · seen ${when(host.lastSeenAt)}</p>
        ${host.quarantine && html`<p class="note warn">Given no tasks since ${when(host.quarantine.since)}: ${host.quarantine.reason}. Stop the agent on the copy and remove its state directory, then release the host; or invite it again.</p>`}
        <div class="buttons">
          ${host.quarantine && operationButton(actor, { path: `${path}/release`, text: "Release", back, kind: "primary", confirm: "The agent that polls next is this host." })}
          ${host.drained ? operationButton(actor, { path: `${path}/resume`, text: "Give it tasks again", back, kind: "primary" }) : operationButton(actor, { path: `${path}/drain`, text: "Drain", back, confirm: "It is given no new tasks; what runs finishes." })}
          ${host.state !== "revoked" && operationButton(actor, { path: `${path}/revoke`, text: "Revoke", back, needs: "admin", kind: "danger", confirm: "Its agent’s authority ends at once; the host can be invited again." })}
          ${may(actor, "admin") && html`<form method="post" action="/admin/hosts/${name}/invite"><button>Invite again</button></form>`}
        </div>`,
    }),
    part({
      id: "host-running",
      className: "card",
      content: html`<h2>Runs now</h2>
        ${running(items)}`,
    }),
    part({
      id: "host-facts",
      className: "card",
      content: html`<h2>Machine</h2>
        ${facts(host)}`,
    }),
  ];
}

function replicaRow({ project, host, role, behind, paused, stale, freshAt }: Replica): Html {
  const state = paused
    ? html`<span class="chip wait">P paused</span>`
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

async function answerHost(
  site: Site,
  c: Context<SignedIn>,
  refused: Pick<Filled, "sent" | "error"> = { sent: null, error: null },
) {
  const name = c.req.param("name") ?? "";
  const host = await readHost(site.ctx, { name });
  const parts = await hostParts(site, c.get("actor"), { name });
  const { items } = await readReplicaPage(site.ctx, { host: name, limit: most });
  return answerPage(site, c, {
    title: name,
    section: "hosts",
    status: refused.error ? 422 : 200,
    live: `/hosts/${name}/live`,
    content: html`${parts.map((each) => each.html)}
      <section class="card">
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
              ${items.map(replicaRow)}
            </tbody>
          </table>
        </div>
        ${items.length === 0 && html`<p class="faint">Nothing.</p>`}
      </section>
      ${may(c.get("actor"), "admin") && hostForm(name, { ...refused, form: "host", stored: host }, host)}`,
  });
}

/** What an administrator may change of it. */
const hostForm = (name: string, filled: Filled, { roles }: Host) =>
  html`<details class="card" id="host-settings" ${filled.error && html` open`}>
    <summary>Change its settings</summary>
    <form method="post" action="/hosts/${name}">
      ${formError(filled)}
      ${field(filled, { name: "lines:addresses", label: "Addresses", type: "area", required: true, hint: "As the other hosts see it, one a line" })}
      ${field(filled, { name: "labels:labels", label: "Labels", type: "area", hint: "One a line: site=nyc" })}
      ${field(filled, { name: "number:parallel", label: "Tasks at a time", type: "number", hint: "None: as its agent is set" })}
      ${roles.includes("master") && field(filled, { name: "number:serves", label: "FTP hosts that it serves at a time", type: "number", hint: "None: all" })}
      <button>Save</button>
    </form>
  </details>`;

/** Labels that were there and are not any more go: the operation merges. */
function withoutGone(body: Record<string, unknown>, { labels: before }: Host) {
  if (body["labels"] === undefined) return body;
  const gone = Object.fromEntries(Object.keys(before).map((key) => [key, null]));
  return { ...body, labels: { ...gone, ...(body["labels"] as object) } };
}

async function saveHost(site: Site, c: Context<SignedIn>) {
  const host = await readHost(site.ctx, { name: c.req.param("name") ?? "" });
  const sent = new URLSearchParams(await c.req.text());
  try {
    const body = withoutGone(formBody(sent), host);
    await site.rest(c, { method: "PATCH", path: `/v1/hosts/${host.name}`, body });
    return c.redirect(`/hosts/${host.name}`, 303);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "invalid-input") throw error;
    return answerHost(site, c, { sent, error });
  }
}

/** The hosts, and one of them. */
export function addHostPages(app: Hono<SignedIn>, site: Site): void {
  app.get("/hosts", async (c) => {
    const { items } = await readHosts(site.ctx, { limit: most });
    return answerPage(site, c, {
      title: "Hosts",
      section: "hosts",
      content: html`<div class="bar">
          <h1>Hosts</h1>
          ${may(c.get("actor"), "admin") && html`<a class="button" href="/admin#invite">Invite a host</a>`}
        </div>
        <div class="scroll card">
          <table>
            <thead>
              <tr>
                <th scope="col">Host</th>
                <th scope="col">Roles</th>
                <th scope="col">State</th>
                <th scope="col">Runs</th>
                <th scope="col">Agent</th>
                <th scope="col">rsync</th>
                <th scope="col">Least free</th>
                <th scope="col">Clock</th>
                <th scope="col">Seen</th>
              </tr>
            </thead>
            <tbody>
              ${items.map(hostRow)}
            </tbody>
          </table>
        </div>`,
    });
  });
  app.get("/hosts/:name", (c) => answerHost(site, c));
  app.post("/hosts/:name", (c) => saveHost(site, c));
  app.get("/hosts/:name/live", (c) =>
    streamParts(site.ctx, c, {
      everySeconds: 2,
      read: async () => ({
        parts: await hostParts(site, c.get("actor"), { name: c.req.param("name") }),
      }),
    }),
  );
}
