import { generateKeyPairSync, randomUUID } from "node:crypto";
import { calculateJwkThumbprint, SignJWT } from "jose";
import type { Identity } from "../../agent/identity.ts";
import { tokenTypes } from "../../protocol/order.ts";
import { syncSpec } from "./rsync.ts";

/** A fleet's task key, an agent's identity that pins it, and orders signed with it. */
export async function makeIdentity() {
  const task = generateKeyPairSync("ed25519");
  const jwk = task.publicKey.export({ format: "jwk" });
  const kid = await calculateJwkThumbprint(jwk);
  const secretKey = (type: "ed25519" | "x25519") => {
    const { privateKey } =
      type === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("x25519");
    const { x, d } = privateKey.export({ format: "jwk" });
    return { kty: "OKP" as const, x: x!, d: d! };
  };
  const identity: Identity = {
    hostId: randomUUID(),
    host: "ftp1",
    roles: ["ftp"],
    fleet: "fleet-of-this-test",
    jwks: { keys: [{ kty: "OKP", crv: "Ed25519", x: jwk.x!, kid }] },
    controlPlane: "http://127.0.0.1:1",
    signingKey: { ...secretKey("ed25519"), crv: "Ed25519" },
    sealingKey: { ...secretKey("x25519"), crv: "X25519" },
  };
  const orderClaims = () => {
    const now = Math.floor(Date.now() / 1000);
    return {
      iss: identity.fleet,
      aud: identity.hostId,
      sub: randomUUID(),
      jti: randomUUID(),
      iat: now,
      exp: now + 60,
      attempt: 1,
      sync: syncSpec({ port: 1 }),
    };
  };
  const signOrder = (claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}) =>
    new SignJWT({ ...orderClaims(), ...claims })
      .setProtectedHeader({ alg: "EdDSA", typ: tokenTypes.order, kid, ...header })
      .sign(task.privateKey);
  return { identity, taskKey: task, kid, orderClaims, signOrder };
}
