import type { Context } from "hono";
import type { Actor } from "../auth/actor.ts";
import { html, type Html } from "./html.ts";
import { may } from "./session.ts";
import type { Site } from "./site.ts";

const htmxConfig = JSON.stringify({ includeIndicatorCSS: false, history: false });

type Page = {
  title: string;
  content: Html;
  /** Section of the site that is marked as the current one. */
  section?: "fleet" | "hosts" | "runs" | "alerts" | "admin";
  /** URL of the stream that keeps the page's parts up to date; null: nothing on it changes any more. */
  live?: string | null;
  /** Of a feed that tells what is on the page. */
  feed?: string;
  /** With the library that draws charts. */
  charts?: boolean;
  status?: 200 | 400 | 401 | 403 | 404 | 409 | 412 | 413 | 422 | 500 | 503;
};

function navigation({ actor, section }: { actor: Actor; section: Page["section"] }): Html {
  const link = (name: NonNullable<Page["section"]>, path: string, text: string) =>
    html`<a href="${path}" ${section === name ? html` aria-current="page"` : ""}>${text}</a>`;
  return html`<nav aria-label="Main">
      ${link("fleet", "/", "Fleet")} ${link("hosts", "/hosts", "Hosts")}
      ${link("runs", "/runs", "Runs")} ${link("alerts", "/alerts", "Alerts")}
      ${may(actor, "operator") && link("admin", "/admin", "Admin")}
    </nav>
    <form method="post" action="/sign-out" class="who">
      <span>${actor.name} <small>${actor.scope}</small></span>
      <button class="quiet">Sign out</button>
    </form>`;
}

/** Answers a whole page. */
export function answerPage(
  { asset }: Pick<Site, "asset">,
  c: Context,
  { title, content, section, live = null, feed, charts = false, status = 200 }: Page,
): Response | Promise<Response> {
  const actor = c.get("actor") as Actor | undefined;
  return c.html(
    html`<!doctype html>
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="color-scheme" content="light dark" />
          <meta name="htmx-config" content="${htmxConfig}" />
          <title>${title} · mirrorfleet</title>
          <link rel="icon" href="${asset("icon.svg")}" />
          ${feed !== undefined && html`<link rel="alternate" type="application/atom+xml" href="${feed}" />`}
          ${
            charts &&
            html`<link rel="stylesheet" href="${asset("uplot.css")}" />
              <script src="${asset("uplot.js")}" defer></script>`
          }
          <link rel="stylesheet" href="${asset("dashboard.css")}" />
          <script src="${asset("htmx.js")}" defer></script>
          <script src="${asset("versions.js")}" defer></script>
          <script src="${asset("dashboard.js")}" defer></script>
        </head>
        <body>
          <a class="skip" href="#content">Skip to content</a>
          <header>
            <a class="brand" href="/">mirrorfleet</a>${actor && navigation({ actor, section })}
          </header>
          <main id="content" tabindex="-1" ${live !== null && html` data-live="${live}"`}>
            ${content}
          </main>
          <p id="contact" role="status" aria-live="polite"></p>
        </body>
      </html>`,
    status,
  );
}
