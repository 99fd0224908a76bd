import { type Context, Hono, type MiddlewareHandler } from "hono";
import { compress } from "hono/compress";
import { csrf } from "hono/csrf";
import { HTTPException } from "hono/http-exception";
import { AppError, statusByCode } from "../../protocol/errors.ts";
import { toAppError } from "../app-error.ts";
import type { Ctx } from "../context.ts";
import { addAdminPages } from "./admin.ts";
import { addAlertPages } from "./alerts.ts";
import { openAssets } from "./assets.ts";
import { addAuditPage } from "./audit.ts";
import { addDo } from "./do.ts";
import { addFleetPage } from "./fleet.ts";
import { addHostPages } from "./host.ts";
import { addHostsPage } from "./hosts.ts";
import { html } from "./html.ts";
import { answerPage } from "./layout.ts";
import { addProjectPages } from "./project.ts";
import { addProjectForms } from "./project-form.ts";
import { openRest } from "./rest.ts";
import { addStatusPage } from "./public-status.ts";
import { addRunPages } from "./run.ts";
import { addScheduleWords } from "./schedule-words.ts";
import { type SignedIn, signedIn } from "./session.ts";
import { addSignIn, answerSignIn } from "./sign-in.ts";
import type { Site } from "./site.ts";
import { addTaskPages } from "./task.ts";

/** Nothing but what comes from here, and no script or style that stands in a page. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join("; ");

const forBrowsers: MiddlewareHandler = async (c, next) => {
  await next();
  c.header("content-security-policy", policy);
  // A stream says for itself that no cache is to keep it.
  if (!c.res.headers.has("cache-control")) c.header("cache-control", "no-store");
};

/** A browser names the site that a form was on in one header or the other; a TLS proxy may change the scheme. */
const fromOurPages = csrf({
  origin: (origin, c) => URL.canParse(origin) && new URL(origin).host === new URL(c.req.url).host,
});

function explain(error: unknown): AppError {
  if (error instanceof HTTPException && error.status === 403)
    return new AppError("forbidden", "this did not come from a page of this control plane");
  return toAppError(error);
}

function answerError({ ctx, asset }: Site, c: Context, error: unknown) {
  const known = explain(error);
  const status = statusByCode[known.code];
  if (status >= 500)
    ctx.log.error(
      { err: known.cause ?? error, method: c.req.method, path: c.req.path },
      known.message,
    );
  // What is internal goes to the log alone, as in the REST interface.
  const said = known.code === "internal" ? "internal error" : known.message;
  if (c.req.path.startsWith("/sign-in") && (status < 500 || status === 503))
    return answerSignIn({ asset, ctx }, c, {
      next: (c.get("next") as string | undefined) ?? "/",
      error: known,
    });
  return answerPage({ asset }, c, {
    title: known.code.replaceAll("-", " "),
    status: status as 404,
    content: html`<section class="card narrow">
      <h1>${status === 404 ? "Not found" : "That did not work"}</h1>
      <p>${said}</p>
      <p><a href="/">To the fleet</a></p>
    </section>`,
  });
}

const forSignedIn = [
  "/",
  "/live",
  "/projects/*",
  "/new-project",
  "/schedule-words",
  "/hosts/*",
  "/runs/*",
  "/tasks/*",
  "/at/*",
  "/alerts/*",
  "/admin/*",
  "/do/*",
];

/**
 * The dashboard: pages that a server renders, kept up to date by streams. `fetch` is the whole interface's:
 * pages change things by its operations.
 */
export function dashboardRoutes(
  ctx: Ctx,
  { fetch }: { fetch: (request: Request) => Response | Promise<Response> },
): Hono<SignedIn> {
  const assets = openAssets();
  const site: Site = { ctx, asset: assets.url, rest: openRest(fetch) };
  const app = new Hono<SignedIn>();
  app.onError((error, c) => answerError(site, c, error));
  app.route("/", assets.routes);
  for (const path of [...forSignedIn, "/sign-in/*", "/sign-out", "/status"])
    app.use(path, forBrowsers, compress(), fromOurPages);
  addSignIn(app, site);
  addStatusPage(app, site);
  for (const path of forSignedIn) app.use(path, signedIn(ctx));
  addFleetPage(app, site);
  addProjectPages(app, site);
  addProjectForms(app, site);
  addScheduleWords(app);
  addRunPages(app, site);
  addTaskPages(app, site);
  addHostsPage(app, site);
  addHostPages(app, site);
  addAdminPages(app, site);
  addAlertPages(app, site);
  addAuditPage(app, site);
  addDo(app, site);
  for (const path of forSignedIn.slice(1))
    app.all(path, () => {
      throw new AppError("not-found", "there is no such page");
    });
  return app;
}
