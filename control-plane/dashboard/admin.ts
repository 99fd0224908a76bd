import type { Context, Hono } from "hono";
import { AppError, statusByCode } from "../../protocol/errors.ts";
import type { HostInvite } from "../../protocol/host.ts";
import { checkScope } from "../auth/actor.ts";
import { readOperatorTokens } from "../auth/operator-tokens.ts";
import { readSettings } from "../db/queries/settings.ts";
import type { Filled } from "./fields.ts";
import { fleetPause } from "./fleet-pause.ts";
import { formBody } from "./form-body.ts";
import { html } from "./html.ts";
import { invitationForm, joinText } from "./invitation.ts";
import { answerPage } from "./layout.ts";
import { answerOnce } from "./once.ts";
import { tokenForm, tokenTable } from "./operator-tokens.ts";
import { may, type SignedIn } from "./session.ts";
import { settingsForm } from "./settings-form.ts";
import type { Site } from "./site.ts";

const back = "/admin";

/** Which form was sent, with what, and what was wrong; the others are as they are stored. */
type Sent = { form: string; sent: URLSearchParams; error: AppError } | null;

const filledOf = (sent: Sent, form: string, stored: unknown): Filled =>
  sent?.form === form ? { ...sent, stored } : { form, sent: null, stored, error: null };

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
          ${tokenTable(actor, all)}
          <div class="columns">
            <div>
              ${invitationForm(filledOf(sent, "invite", { roles: ["ftp"] }))}${tokenForm(filledOf(sent, "token", { scope: "viewer" }))}
            </div>
            ${settingsForm(filledOf(sent, "settings", stored))}
          </div>`
      }`,
  });
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
