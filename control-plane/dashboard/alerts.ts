import type { Context, Hono } from "hono";
import type { Alert } from "../../protocol/alert.ts";
import type { OperatorScope } from "../../protocol/token.ts";
import { AppError, statusByCode } from "../../protocol/errors.ts";
import { checkScope } from "../auth/actor.ts";
import { readReceiver, readReceivers } from "../db/queries/alert-receivers.ts";
import { readAlerts } from "../db/queries/alerts.ts";
import { editReceiverForm, newReceiverForm } from "./alert-receiver-form.ts";
import { receiversTable } from "./alert-receivers.ts";
import type { Filled } from "./fields.ts";
import { formBody } from "./form-body.ts";
import { html, type Html } from "./html.ts";
import { answerPage } from "./layout.ts";
import { may, type SignedIn } from "./session.ts";
import type { Site } from "./site.ts";
import { when } from "./words.ts";

/** Alerts that are listed, of those that go on and of those that are over. */
const most = { open: 100, over: 30 };

function about({ project, host, root }: Alert): Html {
  if (project !== null && host !== null)
    return html`<a href="/at/${project}/${host}">${project} on ${host}</a>`;
  if (project !== null) return html`<a href="/projects/${project}">${project}</a>`;
  return html`${root !== null && html`<code>${root}</code> on `}<a href="/hosts/${host}"
      >${host}</a
    >`;
}

function alertsTable(alerts: Alert[]): Html {
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          <th scope="col">What</th>
          <th scope="col">Where</th>
          <th scope="col">Since</th>
          <th scope="col">Until</th>
          <th scope="col">Detail</th>
        </tr>
      </thead>
      <tbody>
        ${alerts.map(
          (alert) =>
            html`<tr>
              <td>
                <span class="chip ${alert.closedAt === null ? "bad" : "wait"}"
                  >${alert.condition}</span
                >
              </td>
              <td>${about(alert)}</td>
              <td>${when(alert.openedAt)}</td>
              <td>${alert.closedAt !== null && when(alert.closedAt)}</td>
              <td class="said">${alert.detail}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

type Shown = { filled?: Filled; said?: Html | ""; status?: 200 | 422 };

const unfilled: Filled = {
  form: "receiver",
  sent: null,
  stored: { kind: "webhook", remindHours: 24 },
  error: null,
};

async function answerAlerts(
  { ctx, ...site }: Site,
  c: Context<SignedIn>,
  { filled = unfilled, said = "", status = 200 }: Shown = {},
) {
  const actor = c.get("actor");
  const open = await readAlerts(ctx, { open: true, limit: most.open });
  const over = await readAlerts(ctx, { open: false, limit: most.over });
  const receivers = may(actor, "operator") ? await readReceivers(ctx) : null;
  return answerPage(site, c, {
    title: "Alerts",
    section: "alerts",
    status,
    content: html`<h1>Alerts</h1>
      ${said}
      <section class="card">
        <h2>What goes on</h2>
        ${open.items.length > 0 ? alertsTable(open.items) : html`<p class="note good">✓ Nothing is wrong.</p>`}
        ${open.nextCursor !== null && html`<p class="faint">The latest ${most.open}; the command line lists all.</p>`}
      </section>
      ${
        over.items.length > 0 &&
        html`<details class="card">
          <summary>What is over, of late</summary>
          ${alertsTable(over.items)}
        </details>`
      }
      ${receivers && receiversTable(actor, receivers)}
      ${may(actor, "admin") && newReceiverForm(filled)}`,
  });
}

/** Faults that the person at the form can mend. */
const isTheirs = (error: unknown): error is AppError =>
  error instanceof AppError && ["invalid-input", "conflict"].includes(error.code);

/** The body of a change: a secret that is left empty stays as it is. */
function changeOf(sent: URLSearchParams): Record<string, unknown> {
  const { url, secret, ...body } = formBody(sent);
  return {
    ...body,
    ...(typeof url === "string" && { url }),
    ...(typeof secret === "string" && { secret }),
    conditions: sent.getAll("condition"),
  };
}

async function answerEdit(
  { ctx, ...site }: Site,
  c: Context<SignedIn>,
  { sent, error }: Pick<Filled, "sent" | "error"> = { sent: null, error: null },
) {
  checkScope(c.get("actor"), { needs: "admin" });
  const receiver = await readReceiver(ctx, { name: c.req.param("name") ?? "" });
  const title = `Edit ${receiver.name}`;
  return answerPage(site, c, {
    title,
    section: "alerts",
    status: error ? (statusByCode[error.code] as 422) : 200,
    content: html`<h1>${title} <small>${receiver.kind}</small></h1>
      ${editReceiverForm({ form: "receiver", sent, stored: receiver, error }, receiver)}`,
  });
}

const note = (kind: "good" | "bad", text: Html) =>
  html`<p class="note ${kind}" role="status">${text}</p>`;

/** The time so many hours from now; none: nothing is silent any more. @throws AppError `invalid-input`. */
function silencedUntil(hours: string | null): string | null {
  if (hours === "") return null;
  if (!/^\d{1,4}$/.test(hours ?? ""))
    throw new AppError("invalid-input", "hours must be a whole number, or none");
  return new Date(Date.now() + Number(hours) * 3_600_000).toISOString();
}

/** Alerts, and who is told of them. */
export function addAlertPages(app: Hono<SignedIn>, site: Site): void {
  const { rest } = site;
  const pathOf = async (c: Context<SignedIn>, { needs }: { needs: OperatorScope }) => {
    // First: of whom there is, only those hear who may.
    checkScope(c.get("actor"), { needs });
    const { name } = await readReceiver(site.ctx, { name: c.req.param("name") ?? "" });
    return { name, path: `/v1/alert-receivers/${name}` };
  };
  app.get("/alerts", (c) => answerAlerts(site, c));
  app.post("/alerts/receivers", async (c) => {
    const sent = new URLSearchParams(await c.req.text());
    try {
      const body = { ...formBody(sent), conditions: sent.getAll("condition") };
      await rest(c, { path: "/v1/alert-receivers", body });
      return c.redirect("/alerts", 303);
    } catch (error) {
      if (!isTheirs(error)) throw error;
      const filled = { ...unfilled, sent, error };
      return answerAlerts(site, c, { filled, status: statusByCode[error.code] as 422 });
    }
  });
  app.get("/alerts/receivers/:name/edit", (c) => answerEdit(site, c));
  app.post("/alerts/receivers/:name/edit", async (c) => {
    const { path } = await pathOf(c, { needs: "admin" });
    const sent = new URLSearchParams(await c.req.text());
    try {
      await rest(c, { method: "PATCH", path, body: changeOf(sent) });
      return c.redirect("/alerts", 303);
    } catch (error) {
      if (!isTheirs(error)) throw error;
      return answerEdit(site, c, { sent, error });
    }
  });
  app.post("/alerts/receivers/:name/test", async (c) => {
    const { name, path } = await pathOf(c, { needs: "admin" });
    const { body } = await rest(c, { path: `${path}/test` });
    const said = body.delivered
      ? note("good", html`✓ ${name} took a test message.`)
      : note("bad", html`${name} did not take a test message: ${body.error}`);
    return answerAlerts(site, c, { said });
  });
  app.post("/alerts/receivers/:name/silence", async (c) => {
    const { path } = await pathOf(c, { needs: "operator" });
    const until = silencedUntil(new URLSearchParams(await c.req.text()).get("hours"));
    await rest(c, { path: `${path}/silence`, body: { until } });
    return c.redirect("/alerts", 303);
  });
  app.post("/alerts/receivers/:name/delete", async (c) => {
    const { path } = await pathOf(c, { needs: "admin" });
    await rest(c, { method: "DELETE", path });
    return c.redirect("/alerts", 303);
  });
}
