import type { Context, Hono } from "hono";
import { AppError, statusByCode } from "../../protocol/errors.ts";
import { html } from "./html.ts";
import { answerPage } from "./layout.ts";
import { addOidcSignIn } from "./oidc.ts";
import { localPath, signIn, signOut } from "./session.ts";
import type { Site } from "./site.ts";

/** The page on which an operator signs in. */
export function answerSignIn(
  site: Pick<Site, "asset" | "ctx">,
  c: Context,
  { next, error = null }: { next: string; error?: AppError | null },
): Response | Promise<Response> {
  const { oidc } = site.ctx;
  return answerPage(site, c, {
    title: "Sign in",
    status: error ? (statusByCode[error.code] as 401) : 200,
    content: html`<form method="post" action="/sign-in" class="card narrow">
      <h1>Sign in</h1>
      <input type="hidden" name="next" value="${next}" />
      <p class="field">
        <label for="token">Operator token</label>
        <input
          id="token"
          name="token"
          type="password"
          required
          autofocus
          spellcheck="false"
          autocomplete="current-password"
          aria-describedby="token-hint"
          ${error && html` aria-invalid="true"`}
        />
        <small id="token-hint"
          >${error ? html`<strong class="bad">${error.message}</strong>` : 'The first one is in the file "admin-token" of the control plane’s data directory.'}</small
        >
      </p>
      <button class="primary">Sign in</button>
      ${
        oidc?.signIn &&
        html`<p class="or">
          or
          <a class="button" href="/sign-in/oidc?next=${encodeURIComponent(next)}"
            >Sign in with ${oidc.signIn.issuer}</a
          >
        </p>`
      }
    </form>`,
  });
}

/** Signing in and out. */
export function addSignIn(app: Hono<any>, site: Site): void {
  app.get("/sign-in", (c) => answerSignIn(site, c, { next: localPath(c.req.query("next")) }));
  app.post("/sign-in", async (c) => {
    const { token, next: asked } = await c.req.parseBody();
    const next = localPath(typeof asked === "string" ? asked : undefined);
    // Whoever mistypes gets there all the same.
    c.set("next", next);
    await signIn(site.ctx, c, { token: typeof token === "string" ? token.trim() : "" });
    return c.redirect(next, 303);
  });
  addOidcSignIn(app, site);
  app.post("/sign-out", (c) => {
    signOut(c);
    return c.redirect("/sign-in", 303);
  });
}
