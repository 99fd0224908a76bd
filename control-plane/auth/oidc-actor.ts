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

/**
 * What the audit log calls somebody. People choose their own user names, and addresses that nobody has checked:
 * beside them stands the subject, which is the issuer's.
 */
function nameOf(payload: JWTPayload & { sub: string }): string {
  const plain = (text: string) => text.replaceAll(/[\p{Cc}\p{Cf}]/gu, "").slice(0, 120);
  const email = asText(payload["email"]);
  if (email !== "" && payload["email_verified"] !== false) return plain(email);
  const chosen = email || asText(payload["preferred_username"]);
  const subject = plain(payload.sub);
  return chosen === "" ? subject : `${plain(chosen)} (${subject})`;
}

/** Who the issuer says it is. @throws AppError `forbidden` for one who may do nothing here. */
export function actorOf(
  payload: JWTPayload & { sub: string },
  settings: { scopeClaim: string },
): Actor & { scope: OperatorScope } {
  return {
    id: `oidc:${payload.sub}`,
    name: nameOf(payload),
    scope: scopeOf(payload, settings),
  };
}
