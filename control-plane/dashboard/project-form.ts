import type { Context, Hono } from "hono";
import { AppError, statusByCode } from "../../protocol/errors.ts";
import { projectCreateSchema } from "../../protocol/project.ts";
import { checkScope } from "../auth/actor.ts";
import { readHosts } from "../db/queries/hosts.ts";
import { readProject } from "../db/queries/projects.ts";
import { field, type Filled, formError, tick } from "./fields.ts";
import { formBody } from "./form-body.ts";
import { html, type Html } from "./html.ts";
import { answerPage } from "./layout.ts";
import type { SignedIn } from "./session.ts";
import type { Site } from "./site.ts";

const options = (...values: string[]) => values.map((value) => ({ value, text: value }));

/** Asks for the schedule in words while somebody types it. */
const preview = html`hx-get="/schedule-words" hx-trigger="input delay:300ms, load"
hx-target="#schedule-words" hx-include="#schedule, #zone"`;

function source(filled: Filled): Html {
  return html`<fieldset>
    <legend>Source</legend>
    ${field(filled, { name: "optional:upstream", label: "Upstream", hint: "rsync://host/module/ or rsyncs:// behind TLS; none: its people upload to the master" })}
    ${field(filled, { name: "lines:fallbacks", label: "Fallbacks", type: "area", hint: "Other sources of the same tree, one a line" })}
    ${field(filled, { name: "optional:sentinel", label: "Sentinel", hint: "Small file that changes when the tree does: project/trace/master, lastupdate" })}
    ${field(filled, { name: "optional:login.user", label: "User", hint: "Where the upstream asks for one" })}
    ${field(filled, { name: "optional:login.password", label: "Password", type: "password", hint: "Cannot be read back; left empty, the one that is stored stays" })}
  </fieldset>`;
}

function schedule(filled: Filled): Html {
  return html`<fieldset>
    <legend>Schedule</legend>
    ${field(filled, { name: "optional:schedule", label: "Cron expression", hint: "17 */4 * * *; none: only when triggered", extra: preview })}
    ${field(filled, { name: "text:zone", label: "Time zone", extra: preview })}
    <div id="schedule-words" aria-live="polite"></div>
    ${field(filled, { name: "number:splaySeconds", label: "Splay in seconds", type: "number", hint: "Each occurrence is moved by a fixed share of this" })}
    ${field(filled, { name: "text:overlap", label: "Due while it still runs", options: options("skip", "queue-one") })}
  </fieldset>`;
}

function places(filled: Filled, { masters, isNew }: { masters: string[]; isNew: boolean }): Html {
  return html`<fieldset>
    <legend>Where</legend>
    ${isNew && field(filled, { name: "text:master", label: "Master", options: options(...masters) })}
    ${field(filled, { name: "optional:path", label: "Path", hint: "Below the mirror root of every host; default: the name" })}
    ${field(filled, { name: "optional-lines:hosts", label: "FTP hosts", type: "area", hint: "One a line; none: all" })}
    ${tick(filled, { name: "flag:public", label: "Everybody sees its state: on the status page and in the feeds" })}
  </fieldset>`;
}

function how(filled: Filled): Html {
  return html`<fieldset>
    <legend>How</legend>
    ${tick(filled, { name: "flag:rsync.delete", label: "Delete what the source no longer has" })}
    ${tick(filled, { name: "flag:rsync.hardLinks", label: "Keep hard links" })}
    ${field(filled, { name: "optional:rsync.indexesLast", label: "Indexes come last", options: [{ value: "", text: "no" }, ...options("debian", "rpm", "arch")] })}
    ${field(filled, { name: "filters:rsync.filters", label: "Filters", type: "area", hint: 'One a line, the first that matches decides: "+ /pool/**", "- *.iso"' })}
    ${field(filled, { name: "optional:trace.style", label: "Trace file", hint: "Written into the tree after each sync: project/trace/HOST, or .lastsync", options: [{ value: "", text: "none" }, ...options("debian", "timestamp")] })}
    ${field(filled, { name: "number:rsync.bandwidthKiBps", label: "KiB per second", type: "number", hint: "None: no limit" })}
  </fieldset>`;
}

function limits(filled: Filled): Html {
  return html`<fieldset>
    <legend>Limits</legend>
    ${field(filled, { name: "number:maxDeletePercent", label: "Deletions without asking, in percent", type: "number" })}
    ${field(filled, { name: "number:maxAttempts", label: "Attempts", type: "number" })}
    ${field(filled, { name: "number:wallClockSeconds", label: "Longest sync in seconds", type: "number" })}
    ${field(filled, { name: "number:stallSeconds", label: "Seconds without progress", type: "number" })}
    ${field(filled, { name: "number:freshWithinSeconds", label: "Stale after seconds", type: "number", hint: "None: twice the longest pause of the schedule" })}
    ${field(filled, { name: "number:priority", label: "Priority", type: "number", hint: "0 to 100" })}
  </fieldset>`;
}

/** A login without a user is none; a password that is not given stays as it is. */
function withLogin(body: Record<string, unknown>): Record<string, unknown> {
  const { user, password } = (body["login"] ?? {}) as { user?: unknown; password?: unknown };
  const login = user ? { user, ...(password ? { password } : {}) } : null;
  return { ...body, login };
}

/** A trace file without a style is none; Debian's has no path, whatever the one before had. */
function withTrace(body: Record<string, unknown>): Record<string, unknown> {
  const { style } = (body["trace"] ?? {}) as { style?: unknown };
  const trace = style ? { style, ...(style === "debian" && { path: null }) } : null;
  return { ...body, trace };
}

/** What is left out of a new project has its default. */
const withoutNulls = (value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(
        Object.entries(value)
          .filter(([, each]) => each !== null)
          .map(([key, each]) => [key, withoutNulls(each)]),
      )
    : value;

async function answerForm(
  { ctx, asset }: Site,
  c: Context<SignedIn>,
  { name, version, filled }: { name: string | null; version: string; filled: Filled },
) {
  checkScope(c.get("actor"), { needs: "admin" });
  const { items } = await readHosts(ctx, { role: "master", limit: 200 });
  const isNew = name === null;
  const title = isNew ? "Add a project" : `Edit ${name}`;
  return answerPage({ asset }, c, {
    title,
    section: "fleet",
    status: filled.error ? (statusByCode[filled.error.code] as 422) : 200,
    content: html`<h1>${title}</h1>
      ${formError(filled)}
      <form method="post" class="columns">
        <input type="hidden" name="version" value="${version}" />
        <div>
          <fieldset>
            <legend>Name</legend>
            ${isNew && field(filled, { name: "text:name", label: "Name", required: true, hint: "a-z, 0-9, “.”, “_” and “-”: debian-security" })}
            ${field(filled, { name: "text:description", label: "Description" })}
          </fieldset>
          ${source(filled)}${schedule(filled)}
        </div>
        <div>
          ${places(filled, { masters: items.map((host) => host.name), isNew })}${how(filled)}${limits(filled)}
          <p class="buttons">
            <button class="primary">${isNew ? "Add" : "Save"}</button>
            <a class="button" href="${isNew ? "/" : `/projects/${name}`}">Leave it</a>
          </p>
        </div>
      </form>`,
  });
}

/** Faults that the person at the form can mend. */
const isTheirs = (error: unknown): error is AppError =>
  error instanceof AppError && error.code !== "forbidden" && statusByCode[error.code] < 500;

/** Forms that make, change and remove projects, by the operations that everybody else uses. */
export function addProjectForms(app: Hono<SignedIn>, site: Site): void {
  const save = async (c: Context<SignedIn>, name: string | null) => {
    const sent = new URLSearchParams(await c.req.text());
    const version = sent.get("version") ?? "";
    try {
      const body = withTrace(withLogin(formBody(sent)));
      const { body: saved } = await (name === null
        ? site.rest(c, { path: "/v1/projects", body: withoutNulls(body) })
        : site.rest(c, {
            method: "PATCH",
            path: `/v1/projects/${name}`,
            body,
            version: Number(version),
          }));
      return c.redirect(`/projects/${saved.name}`, 303);
    } catch (error) {
      if (!isTheirs(error)) throw error;
      return answerForm(site, c, { name, version, filled: { sent, stored: null, error } });
    }
  };
  app.get("/new-project", (c) => {
    const stored = projectCreateSchema.parse({ name: "new" });
    const filled = { sent: null, stored: { ...stored, name: "" }, error: null };
    return answerForm(site, c, { name: null, version: "", filled });
  });
  app.post("/new-project", (c) => save(c, null));
  app.get("/projects/:name/edit", async (c) => {
    const stored = await readProject(site.ctx, { name: c.req.param("name") });
    const filled = { sent: null, stored, error: null };
    return answerForm(site, c, { name: stored.name, version: String(stored.version), filled });
  });
  app.post("/projects/:name/edit", async (c) => {
    const { name } = await readProject(site.ctx, { name: c.req.param("name") });
    return save(c, name);
  });
  app.post("/projects/:name/delete", async (c) => {
    const sent = new URLSearchParams(await c.req.text());
    const name = c.req.param("name");
    if (sent.get("name") !== name)
      throw new AppError("invalid-input", `to remove it, type its name: ${name}`);
    const { name: known } = await readProject(site.ctx, { name });
    const version = Number(sent.get("version"));
    await site.rest(c, { method: "DELETE", path: `/v1/projects/${known}`, version });
    return c.redirect("/", 303);
  });
}
