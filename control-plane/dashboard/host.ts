import type { Context, Hono } from "hono";
import { AppError } from "../../protocol/errors.ts";
import type { Task } from "../../protocol/run.ts";
import type { Actor } from "../auth/actor.ts";
import { readHost } from "../db/queries/hosts.ts";
import { pausedProjectsOn } from "../db/queries/paused-projects.ts";
import { readReplicaPage } from "../db/queries/replicas.ts";
import { readTasks } from "../db/queries/tasks.ts";
import { operationButton } from "./buttons.ts";
import { taskChip } from "./chips.ts";
import type { Filled } from "./fields.ts";
import { hostCarries } from "./host-carries.ts";
import { hostFacts } from "./host-facts.ts";
import { hostForm, hostPatchOf } from "./host-form.ts";
import { hostState } from "./host-state.ts";
import { html, type Html } from "./html.ts";
import { answerPage } from "./layout.ts";
import { type Part, part, streamParts } from "./live.ts";
import { progressOf } from "./progress.ts";
import { may, type SignedIn } from "./session.ts";
import type { Site } from "./site.ts";
import { when } from "./words.ts";

/** Replicas that a page shows. */
const most = 1000;

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
        <p>${hostState(host)} · seen ${when(host.lastSeenAt)}</p>
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
        ${hostFacts(host)}`,
    }),
  ];
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
  const pausedProjects = await pausedProjectsOn(site.ctx, { hostId: host.id });
  return answerPage(site, c, {
    title: name,
    section: "hosts",
    status: refused.error ? 422 : 200,
    live: `/hosts/${name}/live`,
    content: html`${parts.map((each) => each.html)} ${hostCarries(items, { pausedProjects })}
    ${may(c.get("actor"), "admin") && hostForm(name, { ...refused, form: "host", stored: host }, host)}`,
  });
}

async function saveHost(site: Site, c: Context<SignedIn>) {
  const host = await readHost(site.ctx, { name: c.req.param("name") ?? "" });
  const sent = new URLSearchParams(await c.req.text());
  try {
    const body = hostPatchOf(sent, host);
    await site.rest(c, { method: "PATCH", path: `/v1/hosts/${host.name}`, body });
    return c.redirect(`/hosts/${host.name}`, 303);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "invalid-input") throw error;
    return answerHost(site, c, { sent, error });
  }
}

/** One host. */
export function addHostPages(app: Hono<SignedIn>, site: Site): void {
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
