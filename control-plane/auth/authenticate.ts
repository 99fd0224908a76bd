import { AppError } from "../../protocol/errors.ts";
import type { Ctx } from "../context.ts";
import type { Actor } from "./actor.ts";
import { isIdentity, openIdentity } from "./identities.ts";
import { authenticateOperator } from "./operator-tokens.ts";

/**
 * Whose credential this is: an operator token, a token of the OpenID Connect issuer, or what a sign-in there left.
 * @throws AppError `not-authenticated`, `forbidden`, `unavailable`.
 */
export function authenticate(ctx: Ctx, { token }: { token: string | undefined }): Promise<Actor> {
  if (token !== undefined && /^mfo_[A-Za-z0-9_-]{43}$/.test(token))
    return authenticateOperator(ctx, { token });
  if (token !== undefined && isIdentity(token) && ctx.oidc?.signIn)
    return openIdentity(ctx.secrets, { token });
  if (token !== undefined && ctx.oidc !== null && token.split(".").length === 3)
    return ctx.oidc.authenticate({ token });
  throw new AppError(
    "not-authenticated",
    'needs an operator token: send "Authorization: Bearer mfo_…"',
  );
}
