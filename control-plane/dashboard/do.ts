import type { Hono } from "hono";
import { AppError } from "../../protocol/errors.ts";
import { formBody } from "./form-body.ts";
import { localPath, type SignedIn } from "./session.ts";
import type { Site } from "./site.ts";

/** What buttons do: operations without an answer that a page would have to show. */
const byButton =
  /^\/v1\/(?:projects\/[^/]+\/(?:sync|dry-run|pause|resume|undo)|projects\/[^/]+\/replicas\/[^/]+\/(?:pause|resume|resync)|runs\/[^/]+\/(?:cancel|retry)|tasks\/[^/]+\/(?:cancel|retry|approve|dismiss)|hosts\/[^/]+\/(?:drain|resume|revoke)|tokens\/[^/]+\/revoke|settings\/(?:pause|resume))$/;

/** Runs what a button says, and shows the run that it made or the page that it stands on. */
export function addDo(app: Hono<SignedIn>, { rest }: Site): void {
  app.post("/do/*", async (c) => {
    const path = new URL(c.req.url).pathname.slice("/do".length);
    if (!byButton.test(path)) throw new AppError("not-found", "no button does that");
    const form = new URLSearchParams(await c.req.text());
    const { location } = await rest(c, { path, body: formBody(form) });
    const made = /^\/v1(\/runs\/.+)$/.exec(location ?? "")?.[1];
    return c.redirect(made ?? localPath(form.get("back") ?? undefined), 303);
  });
}
