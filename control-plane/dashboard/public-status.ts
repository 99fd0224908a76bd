import type { Hono } from "hono";
import type { PublicStatus, Site as MirrorSite } from "../../protocol/site.ts";
import { readPublicStatus } from "../db/queries/public-status.ts";
import { html, type Html } from "./html.ts";
import { answerPage } from "./layout.ts";
import type { Site } from "./site.ts";
import { count, plural, size, when } from "./words.ts";

type Project = PublicStatus["projects"][number];

const looks: Record<Project["state"], [colour: string, mark: string, words: string]> = {
  none: ["wait", "–", "never synced"],
  waiting: ["wait", "◷", "waiting"],
  syncing: ["busy", "↻", "syncing"],
  succeeded: ["good", "✓", "in sync"],
  failed: ["bad", "✗", "failed"],
  paused: ["wait", "‖", "paused"],
};

function chipOf({ state }: Project): Html {
  const [colour, mark, words] = looks[state];
  return html`<span class="chip ${colour}"><span aria-hidden="true">${mark}</span> ${words}</span>`;
}

const addressOf = (site: MirrorSite, { path }: Project) =>
  `${site.url.replace(/\/+$/, "")}/${path}/`;

function hostChip({ host, fresh, freshAt }: Project["hosts"][number]): Html {
  const words = fresh ? "" : freshAt === null ? " not yet" : " stale";
  const since = freshAt === null ? "never" : `as of ${freshAt.slice(0, 16).replace("T", " ")} UTC`;
  return html`<span class="chip ${fresh ? "good" : "warn"}" title="${since}"
    ><span aria-hidden="true">${fresh ? "✓" : "!"}</span> ${host}${words}</span
  > `;
}

function row(site: MirrorSite | null, project: Project): Html {
  const { name, description, upstream, updatedAt, nextAt, bytes, hosts, state } = project;
  return html`<tr>
    <th scope="row">
      ${site ? html`<a href="${addressOf(site, project)}">${name}</a>` : name}
      ${description && html`<br /><small>${description}</small>`}
    </th>
    <td>${chipOf(project)}</td>
    <td>${when(updatedAt)}</td>
    <td>${nextAt !== null && state !== "paused" && when(nextAt)}</td>
    <td class="num">${bytes !== null && size(bytes)}</td>
    <td>${upstream === null ? "its own people" : html`<code>${upstream}</code>`}</td>
    <td>${hosts.map(hostChip)}</td>
  </tr>`;
}

const table = (site: MirrorSite | null, projects: Project[]) =>
  html`<div class="scroll card" tabindex="0" role="region" aria-label="Projects">
    <table>
      <thead>
        <tr>
          <th scope="col">Project</th>
          <th scope="col">State</th>
          <th scope="col">Updated</th>
          <th scope="col">Next</th>
          <th scope="col">Size</th>
          <th scope="col">From</th>
          <th scope="col">Hosts</th>
        </tr>
      </thead>
      <tbody>
        ${projects.map((project) => row(site, project))}
      </tbody>
    </table>
  </div>`;

function summary(projects: Project[]): Html {
  const hosts = projects.flatMap((project) => project.hosts);
  const stale = hosts.filter(({ fresh }) => !fresh).length;
  const failed = projects.filter(({ state }) => state === "failed").length;
  return html`<p class="totals">
    <span>${plural(projects.length, "project")}</span>
    <span>${plural(failed, "project")} failed</span>
    <span>${count(hosts.length - stale)} of ${plural(hosts.length, "copy", "copies")} fresh</span>
  </p>`;
}

const feeds = html`<p class="faint">
  The same for programs: <a href="/v1/public/status">JSON</a>,
  <a href="/tunasync.json">tunasync.json</a>, <a href="/mirrorz.json">mirrorz.json</a>; failures and
  recoveries as an <a href="/feed.atom">Atom feed</a>.
</p>`;

/** How the public projects are, for everybody. */
export function addStatusPage(app: Hono<any>, { ctx, asset }: Site): void {
  app.get("/status", async (c) => {
    const { site, paused, projects } = await ctx.share("status page", () => readPublicStatus(ctx));
    c.header("cache-control", "public, max-age=30");
    return answerPage({ asset }, c, {
      title: "Status",
      feed: "/feed.atom",
      content: html`<h1>${site?.name ?? site?.abbr ?? "Mirrors"}: status</h1>
        ${paused && html`<p class="note warn">Syncing is paused at present.</p>`}
        ${
          projects.length === 0
            ? html`<p class="note">Nothing is published here.</p>`
            : html`${summary(projects)} ${table(site, projects)} ${feeds}`
        }`,
    });
  });
}
