import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { errors } from "jose";
import { z } from "zod";
import { AppError } from "../protocol/errors.ts";
import {
  clockToleranceSeconds,
  type OrderClaims,
  orderClaimsSchema,
  signatureAlgorithm,
  tokenTypes,
} from "../protocol/order.ts";
import { writeFileAtomically } from "./files.ts";
import type { Identity } from "./identity.ts";
import { verifyToken } from "./verify-token.ts";

const refused = (message: string, cause?: unknown) =>
  new AppError("order-refused", message, { cause });

/** The orders that this host has taken, so that none is taken twice; kept on disk until they expire. */
export type SeenOrders = {
  take: (order: { jti: string; expires: number }, now: number) => Promise<void>;
};

const seenSchema = z.record(z.string(), z.number());

/** Opens the list of taken orders. */
export async function openSeenOrders({ stateDir }: { stateDir: string }): Promise<SeenOrders> {
  const path = join(stateDir, "orders.json");
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return "{}";
  });
  let seen = new Map(Object.entries(seenSchema.parse(JSON.parse(text))));
  let written: Promise<void> = Promise.resolve();
  return {
    take: async ({ jti, expires }, now) => {
      if (seen.has(jti)) throw refused("the task order was taken before: it is replayed");
      // As long as an order could still be accepted, it is remembered.
      seen = new Map([...seen].filter(([, until]) => until > now - 2 * clockToleranceSeconds)).set(
        jti,
        expires,
      );
      const snapshot = JSON.stringify(Object.fromEntries(seen));
      // A full disk refuses this order, not those that come when there is room again.
      written = written
        .catch(() => undefined)
        .then(() => writeFileAtomically({ path, text: snapshot, mode: 0o600 }));
      await written;
    },
  };
}

function explain(cause: unknown, hostId: string): AppError {
  if (cause instanceof errors.JWTExpired)
    return refused("the task order has expired: it was to be begun earlier", cause);
  if (cause instanceof errors.JWTClaimValidationFailed && cause.claim === "aud")
    return refused(`the task order is for another host (this is ${hostId})`, cause);
  if (cause instanceof errors.JWTClaimValidationFailed && cause.claim === "iss")
    return refused("the task order is of another fleet", cause);
  if (cause instanceof errors.JWTClaimValidationFailed && cause.claim === "typ")
    return refused("the token is not a task order", cause);
  if (cause instanceof errors.JOSEAlgNotAllowed || cause instanceof errors.JOSENotSupported)
    return refused(`the task order is not signed with ${signatureAlgorithm}`, cause);
  if (cause instanceof errors.JWKSNoMatchingKey)
    return refused("the task order is not signed with a key that this host has pinned", cause);
  return refused("the task order's signature is not valid", cause);
}

/**
 * Checks a task order: signature by a pinned key, kind, fleet, host, time, and that it is new.
 * `now` is in seconds of the control plane's clock. @throws AppError `order-refused`, each case with its reason.
 */
export async function verifyOrder(
  { identity, seen, now }: { identity: Identity; seen: SeenOrders; now: number },
  { order }: { order: string },
): Promise<OrderClaims> {
  const payload = await verifyToken(
    { identity, now },
    { token: order, typ: tokenTypes.order },
  ).catch((cause: unknown) => {
    throw explain(cause, identity.host);
  });
  const claims = orderClaimsSchema.safeParse(payload);
  if (!claims.success) {
    const [issue] = claims.error.issues;
    throw refused(
      `the task order is malformed: ${issue?.path.join(".")} ${issue?.message}`,
      claims.error,
    );
  }
  if (Array.isArray(payload.aud)) throw refused("the task order must be for one host");
  await seen.take({ jti: claims.data.jti, expires: claims.data.exp }, now);
  return claims.data;
}
