import { createHash } from "node:crypto";
import { z } from "zod";
import { AppError } from "../protocol/errors.ts";
import { jwksSchema } from "../protocol/fleet.ts";
import { tokenTypes } from "../protocol/order.ts";
import type { AgentCtx } from "./context.ts";
import { writeIdentity } from "./identity.ts";
import { signedRequest } from "./request.ts";
import { verifyToken } from "./verify-token.ts";

type Keys = z.infer<typeof jwksSchema>;

/** Changes when the pinned keys do; made as the control plane makes it. */
export function keysVersion({ keys }: Keys): string {
  const kids = keys.map(({ kid }) => kid).join(" ");
  return createHash("sha256").update(kids).digest("base64url");
}

/**
 * Checks keys that the control plane wants pinned: they must be signed with a key that is pinned
 * already, for this host and fleet, now. `now` in seconds. @throws AppError `order-refused`.
 */
export async function verifyKeys(
  { identity, now }: { identity: AgentCtx["identity"]; now: number },
  { token }: { token: string },
): Promise<Keys> {
  const payload = await verifyToken({ identity, now }, { token, typ: tokenTypes.keys }).catch(
    (cause: unknown) => {
      throw new AppError(
        "order-refused",
        "new task keys are not signed with a key that this host has pinned",
        { cause },
      );
    },
  );
  return jwksSchema.parse(payload["jwks"]);
}

/** Pins the fleet's present task keys, and remembers them. @throws AppError. */
export async function followKeys(ctx: AgentCtx): Promise<void> {
  const { identity } = ctx;
  const { token } = await signedRequest(ctx, {
    method: "POST",
    path: "/v1/agent/task-keys",
    body: { pinned: identity.jwks.keys.map(({ kid }) => kid) },
    schema: z.object({ token: z.string() }),
    timeoutSeconds: 30,
  });
  const now = Date.now() / 1000 + ctx.clock.skewSeconds;
  const jwks = await verifyKeys({ identity, now }, { token });
  const next = { ...identity, jwks };
  // On disk first: a key that is used must still be pinned after a restart.
  await writeIdentity({ stateDir: ctx.config.stateDir, identity: next });
  ctx.identity = next;
  ctx.log(`pinned the fleet's task keys: ${jwks.keys.map(({ kid }) => kid).join(", ")}`);
}
