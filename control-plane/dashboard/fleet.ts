import type { Context, Hono } from "hono";
import type { Alert, AlertCondition } from "../../protocol/alert.ts";
import { readAlerts } from "../db/queries/alerts.ts";
import { type Matrix, readMatrix } from "../db/queries/fleet-matrix.ts";
import { readStatus } from "../db/queries/settings.ts";
import { shared } from "../sharing.ts";
import { attention, totals } from "./attention.ts";
import { type Filter, filtered, filterForm, filterOf } from "./fleet-filter.ts";
import { html } from "./html.ts";
import { answerPage } from "./layout.ts";
import { type Part, streamParts } from "./live.ts";
import { legend, matrixHead, matrixRow, matrixTable } from "./matrix.ts";
import { may, type SignedIn } from "./session.ts";
import type { Site } from "./site.ts";
import { plural } from "./words.ts";

const everySeconds = 2;

type Snapshot = {
  matrix: Matrix;
  status: Awaited<ReturnType<typeof readStatus>>;
  alerts: Alert[];
};

/** Of what is wrong, what the matrix does not show. */
async function readBesides({ ctx }: Site): Promise<Alert[]> {
  const of = async (condition: AlertCondition) =>
    (await readAlerts(ctx, { open: true, condition, limit: 50, cursor: undefined })).items;
  return [...(await of("cloned")), ...(await of("disk")), ...(await of("no-progress"))];
}

async function read(site: Site): Promise<Snapshot> {
  const { ctx } = site;
  return {
    matrix: await readMatrix(ctx),
    status: await readStatus(ctx),
    alerts: await readBesides(site),
  };
}

function partsOf({ matrix, status, alerts }: Snapshot, filter: Filter) {
  const shown = filtered(matrix, filter);
  const head = [attention(matrix, { ...status, alerts }), totals(status)];
  // Without a project there is no table.
  const columns = matrix.projects.length > 0 ? [matrixHead(shown)] : [];
  return { head, columns, rows: shown.projects.map((project) => matrixRow(project, shown)) };
}

async function answerFleet(site: Site, c: Context<SignedIn>) {
  const filter = filterOf(c.req.query());
  const snapshot = await read(site);
  const { head, columns, rows } = partsOf(snapshot, filter);
  const { length } = snapshot.matrix.projects;
  return answerPage(site, c, {
    title: "Fleet",
    section: "fleet",
    live: `/live?${new URLSearchParams(filter).toString()}`,
    content: html`<div class="bar top">
        <h1>Fleet</h1>
        ${may(c.get("actor"), "admin") && html`<a class="button" href="/new-project">Add a project</a>`}
      </div>
      ${head.map((each: Part) => each.html)} ${filterForm(filter)}
      ${rows.length < length && html`<p class="faint">${rows.length} of ${plural(length, "project")}. <a href="/">All</a></p>`}
      ${length === 0 ? html`<p class="note">There is no project yet.</p>` : html`${columns.map((each) => matrixTable(each, rows))}${legend}`}`,
  });
}

/** The whole fleet. */
export function addFleetPage(app: Hono<SignedIn>, site: Site): void {
  const latest = shared({ milliseconds: everySeconds * 1000, read: () => read(site) });
  app.get("/", (c) => answerFleet(site, c));
  app.get("/live", (c) => {
    const filter = filterOf(c.req.query());
    return streamParts(site.ctx, c, {
      everySeconds,
      read: async () => {
        const { head, columns, rows } = partsOf(await latest(), filter);
        return { parts: [...head, ...columns, ...rows] satisfies Part[] };
      },
    });
  });
}
