import type { Context, Hono } from "hono";
import { AppError, statusByCode } from "../../protocol/errors.ts";
import type { HostInvite } from "../../protocol/host.ts";
import { defaultRoot, joinCommand, joinLine, twoSteps } from "../../protocol/join-line.ts";
import type { Settings } from "../../protocol/settings.ts";
import type { OperatorToken } from "../../protocol/token.ts";
import { type Actor, checkScope } from "../auth/actor.ts";
import { readOperatorTokens } from "../auth/operator-tokens.ts";
import { readSettings } from "../db/queries/settings.ts";
import { operationButton } from "./buttons.ts";
import { field, type Filled, formError, tick } from "./fields.ts";
import { formBody } from "./form-body.ts";
import { html, type Html } from "./html.ts";
import { answerPage } from "./layout.ts";
import { may, type SignedIn } from "./session.ts";
import type { Site } from "./site.ts";
import { when } from "./words.ts";

const back = "/admin";

/** Which form was sent, with what, and what was wrong; the others are as they are stored. */
type Sent = { form: string; sent: URLSearchParams; error: AppError } | null;

const filledOf = (sent: Sent, form: string, stored: unknown): Filled =>
  sent?.form === form ? { ...sent, stored } : { form, sent: null, stored, error: null };

function fleetPause(actor: Actor, { paused }: Settings): Html {
  if (paused)
    return html`<section class="card">
      <h2>Fleet</h2>
      <p class="note warn">
        Paused since ${when(paused.at)}${paused.reason && html`: ${paused.reason}`}
      </p>
      ${operationButton(actor, { path: "/v1/settings/resume", text: "Let it go on", back, kind: "primary" })}
    </section>`;
  return html`<section class="card">
    <h2>Fleet</h2>
    <details>
      <summary>Pause everything</summary>
      <form method="post" action="/do/v1/settings/pause">
        <input type="hidden" name="back" value="${back}" />
        <p>Nothing is started any more, on no host, until somebody lets it go on.</p>
        <p class="field">
          <label for="reason">Reason</label><input id="reason" name="text:reason" maxlength="500" />
        </p>
        <p class="field">
          <label
            ><input type="checkbox" name="flag:cancelRunning" value="true" /> Also end what runs
            now</label
          >
        </p>
        <button class="danger">Pause the fleet</button>
      </form>
    </details>
  </section>`;
}

function invitation(filled: Filled): Html {
  return html`<form method="post" action="/admin/hosts" class="card" id="invite">
    <h2>Invite a host</h2>
    ${formError(filled)}
    ${field(filled, { name: "text:name", label: "Name", required: true, hint: "ftp-nyc" })}
    ${field(filled, {
      name: "lines:roles",
      label: "Role",
      options: [
        { value: "ftp", text: "ftp: pulls from the master" },
        { value: "master", text: "master: pulls from upstreams" },
        { value: "master\nftp", text: "both" },
      ],
    })}
    ${field(filled, { name: "lines:addresses", label: "Addresses", type: "area", required: true, hint: "As the other hosts see it, one a line: 192.0.2.10" })}
    <button>Invite</button>
  </form>`;
}

function tokens(actor: Actor, all: OperatorToken[]): Html {
  const stateOf = ({ revokedAt, expiresAt }: OperatorToken) =>
    revokedAt !== null
      ? html`<span class="chip wait">⊘ revoked</span>`
      : expiresAt !== null && Date.parse(expiresAt) < Date.now()
        ? html`<span class="chip wait">⊘ expired</span>`
        : html`<span class="chip good">✓ valid</span>`;
  return html`<section class="card">
    <h2>Operator tokens</h2>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Scope</th>
            <th scope="col">State</th>
            <th scope="col">Used</th>
            <th scope="col">Expires</th>
            <th scope="col">Do</th>
          </tr>
        </thead>
        <tbody>
          ${all.map(
            (token) =>
              html`<tr>
                <th scope="row">${token.name}</th>
                <td>${token.scope}</td>
                <td>${stateOf(token)}</td>
                <td>${when(token.lastUsedAt)}</td>
                <td>${when(token.expiresAt)}</td>
                <td>
                  ${token.revokedAt === null && operationButton(actor, { path: `/v1/tokens/${token.id}/revoke`, text: "Revoke", back, needs: "admin", kind: "danger", confirm: `${token.name} can do nothing any more, at once.` })}
                </td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function newToken(filled: Filled): Html {
  return html`<form method="post" action="/admin/tokens" class="card">
    <h2>Make an operator token</h2>
    ${formError(filled)}
    ${field(filled, { name: "text:name", label: "Whose it is, or what for", required: true })}
    ${field(filled, { name: "text:scope", label: "Scope", hint: "viewer, operator, admin, or trigger:PROJECT" })}
    ${field(filled, { name: "optional:expiresAt", label: "Expires", hint: "2027-01-31T00:00:00Z; none: never" })}
    <button>Make it</button>
  </form>`;
}

function settings(filled: Filled): Html {
  return html`<form method="post" action="/admin/settings" class="card">
    <h2>Settings</h2>
    ${formError(filled)}
    ${field(filled, { name: "number:upstreamParallel", label: "Pulls at a time from one upstream host", type: "number", hint: "None: no limit" })}
    ${field(filled, { name: "number:keepRunsDays", label: "Days for which runs are kept", type: "number", hint: "None: for ever" })}
    ${field(filled, { name: "number:keepLogsDays", label: "Days for which logs are kept", type: "number" })}
    ${field(filled, { name: "number:keepAuditDays", label: "Days for which audit events are kept", type: "number" })}
    ${field(filled, { name: "number:alertDiskDays", label: "Alert so many days before a disk is full", type: "number", hint: "None: when it nearly is" })}
    ${tick(filled, { name: "flag:standingOrders", label: "Hosts out of contact may follow the schedule by themselves" })}
    <button>Save</button>
  </form>`;
}

async function answerAdmin(site: Site, c: Context<SignedIn>, sent: Sent = null) {
  const actor = c.get("actor");
  checkScope(actor, { needs: "operator" });
  const stored = await readSettings(site.ctx);
  const all = may(actor, "admin") ? await readOperatorTokens(site.ctx) : null;
  return answerPage(site, c, {
    title: "Admin",
    section: "admin",
    status: sent ? (statusByCode[sent.error.code] as 422) : 200,
    content: html`<h1>Admin</h1>
      ${fleetPause(actor, stored)}
      ${
        all &&
        html`<p><a href="/admin/audit">Audit: who changed what</a></p>
          ${tokens(actor, all)}
          <div class="columns">
            <div>
              ${invitation(filledOf(sent, "invite", { roles: ["ftp"] }))}${newToken(filledOf(sent, "token", { scope: "viewer" }))}
            </div>
            ${settings(filledOf(sent, "settings", stored))}
          </div>`
      }`,
  });
}

/** What is told this once: nobody can read it again, nor does a cache keep it. */
const answerOnce = (site: Site, c: Context, { title, said }: { title: string; said: Html }) =>
  answerPage(site, c, {
    title,
    section: "admin",
    content: html`<section class="card">
      <h1>${title}</h1>
      ${said}
      <p class="buttons">
        <button data-copy="once" type="button">Copy</button><a class="button" href="/admin">Done</a>
      </p>
    </section>`,
  });

/** The address that the browser has used: behind a TLS proxy, the request's own has another scheme. */
function siteOf(c: Context): string {
  const origin = c.req.header("origin") ?? "";
  return new URL(URL.canParse(origin) ? origin : c.req.url).origin;
}

/** What to do on the host: the same line as on the command line, or what is left when the agent is installed. */
function joinText(c: Context, { host, enrolment, joining }: HostInvite): Html {
  const { token, expiresAt } = enrolment;
  const { scriptSha256, sources } = joining;
  const controlPlane = siteOf(c);
  const line =
    scriptSha256 === null
      ? joinCommand({ controlPlane, token, replace: false })
      : joinLine({
          controlPlane,
          token,
          scriptSha256,
          roots: [defaultRoot],
          sources,
          replace: false,
        });
  return html`${
      scriptSha256 === null
        ? html`<p>
            ${twoSteps(joining)} Install it on ${host.name}, write its settings, and then, as its
            user:
          </p>`
        : html`<p>
            Type this on ${host.name}, as root: it installs the agent, joins, checks and starts. Add
            <code>--replace</code> at its end, before the parenthesis, where that machine has joined
            before.
          </p>`
    }
    <p>It works once, until ${when(expiresAt)}, and is not shown again.</p>
    <pre id="once" class="secret" tabindex="0">${line}</pre>`;
}

/** What concerns the whole fleet. */
export function addAdminPages(app: Hono<SignedIn>, site: Site): void {
  const { rest } = site;
  /** Runs an operation with a form's fields; what was wrong with them is told at them. */
  const send =
    (
      { form, path, method }: { form: string; path: string; method: "POST" | "PATCH" },
      answer: (c: Context<SignedIn>, body: any) => Response | Promise<Response>,
    ) =>
    async (c: Context<SignedIn>) => {
      const sent = new URLSearchParams(await c.req.text());
      try {
        return await answer(c, (await rest(c, { method, path, body: formBody(sent) })).body);
      } catch (error) {
        if (
          !(error instanceof AppError) ||
          !["invalid-input", "conflict", "not-found"].includes(error.code)
        )
          throw error;
        return answerAdmin(site, c, { form, sent, error });
      }
    };
  const invited = (c: Context<SignedIn>, answer: HostInvite) =>
    answerOnce(site, c, {
      title: `${answer.host.name} is invited`,
      said: joinText(c, answer),
    });
  app.get("/admin", (c) => answerAdmin(site, c));
  app.post("/admin/hosts", send({ form: "invite", method: "POST", path: "/v1/hosts" }, invited));
  app.post(
    "/admin/tokens",
    send({ form: "token", method: "POST", path: "/v1/tokens" }, (c, { token, info }) =>
      answerOnce(site, c, {
        title: `Token of ${info.name}`,
        said: html`<p>Scope ${info.scope}. It is not shown again.</p>
          <pre id="once" class="secret" tabindex="0">${token}</pre>`,
      }),
    ),
  );
  app.post(
    "/admin/settings",
    send({ form: "settings", method: "PATCH", path: "/v1/settings" }, (c) => c.redirect(back, 303)),
  );
  app.post("/admin/hosts/:name/invite", async (c) => {
    const name = encodeURIComponent(c.req.param("name"));
    const { body } = await rest(c, { path: `/v1/hosts/${name}/enrolment-tokens` });
    return invited(c, body as HostInvite);
  });
}
