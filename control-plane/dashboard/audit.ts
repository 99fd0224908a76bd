import type { Hono } from "hono";
import { parse } from "../../protocol/errors.ts";
import { auditQuerySchema } from "../../protocol/settings.ts";
import { checkScope } from "../auth/actor.ts";
import { readAuditEvents } from "../db/queries/audit-events.ts";
import { changeCell } from "./changes.ts";
import { html } from "./html.ts";
import { answerPage } from "./layout.ts";
import type { SignedIn } from "./session.ts";
import type { Site } from "./site.ts";
import { when } from "./words.ts";

/** Who changed what. */
export function addAuditPage(app: Hono<SignedIn>, site: Site): void {
  app.get("/admin/audit", async (c) => {
    checkScope(c.get("actor"), { needs: "admin" });
    const given = Object.fromEntries(Object.entries(c.req.query()).filter(([, text]) => text));
    const query = parse(auditQuerySchema, given, "the query");
    const { items, nextCursor } = await readAuditEvents(site.ctx, query);
    const more = new URLSearchParams({ ...given, cursor: nextCursor ?? "" });
    const { actor = "", action = "", target = "" } = query;
    return answerPage(site, c, {
      title: "Audit",
      section: "admin",
      content: html`<h1>Audit</h1>
        <form class="filters" role="search">
          <label>Who <input name="actor" value="${actor}" /></label
          ><label>What <input name="action" value="${action}" /></label
          ><label>Target begins with <input name="target" value="${target}" /></label
          ><button>Show</button>
        </form>
        <div class="scroll card">
          <table>
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">Who</th>
                <th scope="col">What</th>
                <th scope="col">Target</th>
                <th scope="col">Change</th>
              </tr>
            </thead>
            <tbody>
              ${items.map(
                (event) =>
                  html`<tr>
                    <td>${when(event.at)}</td>
                    <td>${event.actor}</td>
                    <td>${event.action}</td>
                    <td><code>${event.target}</code></td>
                    ${changeCell(event)}
                  </tr>`,
              )}
            </tbody>
          </table>
        </div>
        ${items.length === 0 && html`<p class="faint">There is none.</p>`}
        ${nextCursor !== null && html`<p><a href="/admin/audit?${more.toString()}">Older</a></p>`}`,
    });
  });
}
