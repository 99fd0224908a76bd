import type { JWTPayload } from "jose";
import { AppError } from "../../protocol/errors.ts";
import { type OperatorScope, scopes } from "../../protocol/token.ts";
import type { Actor } from "./actor.ts";

const asText = (value: unknown) => (typeof value === "string" ? value : "");

/** The highest scope among the claim's words. @throws AppError `forbidden` where there is none. */
function scopeOf(payload: JWTPayload, { scopeClaim }: { scopeClaim: string }): OperatorScope {
  const claim = payload[scopeClaim];
  const words: unknown[] = Array.isArray(claim) ? claim : asText(claim).split(/\s+/);
  const scope = scopes.findLast((each) => words.includes(each));
  if (scope === undefined)
    throw new AppError(
      "forbidden",
      `the token's claim "${scopeClaim}" holds none of ${scopes.join(", ")}`,
    );
  return scope;
}

/** Who the issuer says it is. @throws AppError `forbidden` for one who may do nothing here. */
export function actorOf(
  payload: JWTPayload & { sub: string },
  settings: { scopeClaim: string },
): Actor & { scope: OperatorScope } {
  const name = asText(payload["email"]) || asText(payload["preferred_username"]);
  return {
    id: `oidc:${payload.sub}`,
    name: (name || payload.sub).replaceAll(/\p{Cc}/gu, "").slice(0, 200),
    scope: scopeOf(payload, settings),
  };
}
