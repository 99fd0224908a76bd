import type { Hono } from "hono";
import { AppError } from "../../protocol/errors.ts";
import { sealIdentity } from "../auth/identities.ts";
import { keepFlow, localPath, signIn, takeFlow } from "./session.ts";
import type { Site } from "./site.ts";

/** Signing in at the OpenID Connect issuer: there, and back. */
export function addOidcSignIn(app: Hono<any>, { ctx }: Site): void {
  const issuer = () => {
    if (!ctx.oidc?.signIn) throw new AppError("not-found", "there is no such page");
    return ctx.oidc.signIn;
  };
  app.get("/sign-in/oidc", async (c) => {
    const { url, flow } = await issuer().begin();
    await keepFlow(ctx, c, { ...flow, next: localPath(c.req.query("next")) });
    return c.redirect(url, 303);
  });
  app.get("/sign-in/callback", async (c) => {
    const { finish } = issuer();
    const flow = await takeFlow(ctx, c);
    if (!flow)
      throw new AppError("not-authenticated", "this sign-in was not begun here, or too long ago");
    c.set("next", flow.next);
    const actor = await finish({ query: new URL(c.req.url).search, flow });
    await signIn(ctx, c, { token: await sealIdentity(ctx.secrets, actor) });
    return c.redirect(localPath(flow.next), 303);
  });
}
