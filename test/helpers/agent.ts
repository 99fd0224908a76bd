import { generateKeyPairSync, randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { calculateJwkThumbprint, SignJWT } from "jose";
import { readConfig } from "../../agent/config.ts";
import { openContact } from "../../agent/contact.ts";
import type { AgentCtx } from "../../agent/context.ts";
import type { Identity } from "../../agent/identity.ts";
import { openMetrics } from "../../agent/metrics.ts";
import { openSeenOrders } from "../../agent/verify-order.ts";
import { seal } from "../../control-plane/auth/task-tokens.ts";
import { tokenTypes } from "../../protocol/order.ts";
import { openPulses } from "../../systemd/pulses.ts";
import { temporaryDirectory } from "./directory.ts";
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

/** What an agent works with, a mirror root and state directory of its own, and a password that is sealed to it. */
export async function makeAgentCtx(settings: Record<string, string> = {}) {
  const directory = await temporaryDirectory();
  const mirrorRoot = join(directory, "mirror");
  const stateDir = join(directory, "state");
  for (const path of [mirrorRoot, stateDir]) await mkdir(path);
  const { identity } = await makeIdentity();
  const config = readConfig({
    file: "/dev/null",
    environment: {},
    flags: { "state-dir": stateDir, "mirror-roots": mirrorRoot, sources: "rsync://*", ...settings },
  });
  const clock = { skewSeconds: 0 };
  const ctx: AgentCtx = {
    config: { ...config, mirrorRoots: [mirrorRoot] },
    identity,
    controlPlane: "http://127.0.0.1:1",
    instance: { id: randomUUID(), machine: "test", machineId: null, bootId: null },
    clock,
    facts: { latest: () => null, stop: () => {} },
    metrics: await openMetrics(config),
    contact: await openContact({ stateDir, clock, bootId: "boot", log: () => {} }),
    seen: await openSeenOrders({ stateDir }),
    work: { running: new Set(), ends: new Map(), projects: new Set() },
    standing: null,
    pulses: openPulses(),
    log: () => {},
  };
  const { d: _, ...key } = identity.sealingKey;
  const sealedPassword = await seal({ secret: "right-password", key });
  return { ctx, mirrorRoot, stateDir, sealedPassword };
}
