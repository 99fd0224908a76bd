import type { Alert } from "../../protocol/alert.ts";
import type { Status } from "../../protocol/settings.ts";
import type { Matrix } from "../db/queries/fleet-matrix.ts";
import { html, type Html } from "./html.ts";
import { type Part, part } from "./live.ts";
import { count, plural, when } from "./words.ts";

/** Things of one kind that are listed before the rest is counted. */
const listed = 8;

function group({
  kind,
  title,
  items,
  all = items.length,
}: {
  kind: string;
  title: string;
  items: Html[];
  all?: number;
}): Html | "" {
  if (items.length === 0) return "";
  const more = all - Math.min(items.length, listed);
  return html`<section class="note ${kind}">
    <h2>${title}</h2>
    <ul>
      ${items.slice(0, listed).map((item) => html`<li>${item}</li>`)}${more > 0 && html`<li>and ${count(more)} more</li>`}
    </ul>
  </section>`;
}

const at = (project: string, host: string) =>
  html`<a href="/at/${project}/${host}">${project} on ${host}</a>`;

const alertText = ({ project, host, root, detail }: Alert) =>
  html`${project === null || host === null ? html`<a href="/hosts/${host}">${host}</a>` : at(project, host)}:
  ${root && html`${root}: `}${detail}`;

/** What needs a person: held deletions, failures, hosts out of contact, disks, what makes no progress or is stale. */
export function attention(
  matrix: Matrix,
  { held, paused, alerts }: Status & { alerts: Alert[] },
): Part {
  const cells = matrix.projects.flatMap(({ name, cells: all }) =>
    all.flatMap((cell, column) =>
      cell === null ? [] : [{ project: name, host: matrix.hosts[column]!.name, ...cell }],
    ),
  );
  const failed = cells.filter(({ state }) => state === "failed");
  const stale = cells.filter(
    ({ freshness, state }) => freshness === "stale" && (state === "idle" || state === "waiting"),
  );
  const away = matrix.hosts.filter(({ enrolled, inContact }) => enrolled && !inContact);
  const groups = [
    paused &&
      html`<section class="note warn">
        <h2>The whole fleet is paused</h2>
        <p>
          Since ${when(paused.at)}${paused.reason && html`: ${paused.reason}`}.
          <a href="/admin">Resume</a>
        </p>
      </section>`,
    group({
      kind: "held",
      title: "Held deletions",
      items: held.map(
        ({ task, project, host, deletions, entries }) =>
          html`<a href="/tasks/${task}">${project} on ${host}</a>: ${count(deletions)} of
            ${count(entries)}`,
      ),
    }),
    group({
      kind: "bad",
      title: "Failed",
      items: failed.map(({ project, host }) => at(project, host)),
    }),
    group({
      kind: "bad",
      title: "Hosts out of contact",
      items: away.map(
        ({ name, lastSeenAt }) =>
          html`<a href="/hosts/${name}">${name}</a>: seen ${when(lastSeenAt)}`,
      ),
    }),
    group({
      kind: "bad",
      title: "Disks and progress",
      items: alerts.map(alertText),
    }),
    group({
      kind: "warn",
      title: "Stale",
      items: stale.map(
        ({ project, host, freshAt }) => html`${at(project, host)}: ${when(freshAt)}`,
      ),
    }),
  ].filter(Boolean);
  return part({
    id: "fleet-attention",
    className: "columns attention",
    content:
      groups.length > 0
        ? html`${groups}`
        : html`<p class="note good">✓ Nothing needs a person.</p>`,
  });
}

/** The fleet in a few numbers. */
export function totals(status: Status): Part {
  const { hosts, projects, runs } = status;
  const of = (state: keyof Status["runs"]) => count(runs[state] ?? 0);
  return part({
    id: "fleet-totals",
    className: "totals",
    content: html`<span
        >${plural(projects.all, "project")}${projects.paused > 0 && html`, ${count(projects.paused)} paused`}</span
      >
      <span
        >${count(hosts.inContact)} of ${plural(hosts.enrolled, "host")} in
        contact${hosts.drained > 0 && html`, ${count(hosts.drained)} drained`}</span
      >
      <span>${count(status.runningTasks)} syncing, ${count(status.queuedTasks)} waiting</span>
      <span>24 h: ${plural(runs.succeeded ?? 0, "run")} succeeded, ${of("failed")} failed</span>`,
  });
}
