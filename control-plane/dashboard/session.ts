import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { createMiddleware } from "hono/factory";
import { AppError } from "../../protocol/errors.ts";
import { type OperatorScope, scopes } from "../../protocol/token.ts";
import { type Actor, checkScope } from "../auth/actor.ts";
import { authenticate } from "../auth/authenticate.ts";
import { type Flow, openFlow, sealFlow } from "../auth/sign-in-flow.ts";
import { openSession, sealSession, sessionSeconds } from "../auth/sessions.ts";
import type { Ctx } from "../context.ts";

export type SignedIn = { Variables: { actor: Actor; token: string } };

const name = "mirrorfleet";

/** A proxy's word is enough: one who lies about it weakens no cookie but his own. */
const isHttps = (c: Context) =>
  c.req.header("x-forwarded-proto")?.split(",")[0]?.trim() === "https" ||
  c.req.url.startsWith("https:");

const prefixOf = (c: Context) => (isHttps(c) ? ({ prefix: "host" } as const) : {});

/** Whose credential it is, if it may read at all. @throws AppError `not-authenticated`, `forbidden`. */
async function viewerOf(ctx: Ctx, { token }: { token: string }): Promise<Actor> {
  const actor = await authenticate(ctx, { token });
  checkScope(actor, { needs: "viewer" });
  return actor;
}

/** Signs in with a credential. @throws AppError `not-authenticated`, `forbidden`. */
export async function signIn(ctx: Ctx, c: Context, { token }: { token: string }): Promise<void> {
  await viewerOf(ctx, { token });
  setCookie(c, name, await sealSession(ctx.secrets, { token }), {
    httpOnly: true,
    sameSite: "Lax",
    secure: isHttps(c),
    path: "/",
    maxAge: sessionSeconds,
    ...prefixOf(c),
  });
}

const flowName = "mirrorfleet-sign-in";
const flowSeconds = 600;

/** Keeps in the browser, sealed, what a sign-in at the issuer has to come back with. */
export async function keepFlow(ctx: Ctx, c: Context, flow: Flow): Promise<void> {
  setCookie(c, flowName, await sealFlow(ctx.secrets, { flow, seconds: flowSeconds }), {
    httpOnly: true,
    sameSite: "Lax",
    secure: isHttps(c),
    path: "/",
    maxAge: flowSeconds,
    ...prefixOf(c),
  });
}

/** What was kept, once; null where this browser began no sign-in, or too long ago. */
export async function takeFlow(ctx: Ctx, c: Context): Promise<Flow | null> {
  const sealed = getCookie(c, flowName, isHttps(c) ? "host" : undefined);
  deleteCookie(c, flowName, { path: "/", secure: isHttps(c), ...prefixOf(c) });
  return sealed ? openFlow(ctx.secrets, { sealed }) : null;
}

/** Forgets the session. */
export function signOut(c: Context): void {
  deleteCookie(c, name, { path: "/", secure: isHttps(c), ...prefixOf(c) });
}

/** Who is signed in, asked of the database each time; null where nobody is. */
export async function currentActor(
  ctx: Ctx,
  c: Context,
): Promise<{ actor: Actor; token: string } | null> {
  const sealed = getCookie(c, name, isHttps(c) ? "host" : undefined);
  const token = sealed ? await openSession(ctx.secrets, { sealed }) : null;
  if (token === null) return null;
  try {
    return { actor: await viewerOf(ctx, { token }), token };
  } catch (error) {
    // A token that was revoked or has expired ends the session; a database that is away does not.
    if (error instanceof AppError && ["not-authenticated", "forbidden"].includes(error.code))
      return null;
    throw error;
  }
}

/** A path of this site, and of no other; else the first page. */
export const localPath = (text: string | undefined) =>
  text !== undefined && /^\/(?![/\\])[\x21-\x7e]{0,500}$/.test(text) ? text : "/";

/** Lets those who are signed in pass; sends others to the sign-in page, and from there to where they were. */
export const signedIn = (ctx: Ctx) =>
  createMiddleware<SignedIn>(async (c, next) => {
    const found = await currentActor(ctx, c);
    if (!found) {
      const { pathname, search } = new URL(c.req.url);
      const to = c.req.method === "GET" ? `?next=${encodeURIComponent(pathname + search)}` : "";
      return c.redirect(`/sign-in${to}`, 303);
    }
    c.set("actor", found.actor);
    c.set("token", found.token);
    return next();
  });

/** Is a scope enough? What is not is not shown; what is sent all the same, the operation refuses. */
export const may = ({ scope }: Actor, needs: OperatorScope) =>
  scopes.indexOf(scope as OperatorScope) >= scopes.indexOf(needs);
