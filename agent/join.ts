import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { access, constants, mkdir } from "node:fs/promises";
import { AppError, parse } from "../protocol/errors.ts";
import { enrolAnswerSchema } from "../protocol/fleet.ts";
import { type Identity, identityFile, writeIdentity } from "./identity.ts";
import { send } from "./request.ts";

/** A new key pair as private JWK; its public part is without `d`. */
function newKey(type: "ed25519" | "x25519") {
  const { privateKey } =
    type === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("x25519");
  const { x, d } = privateKey.export({ format: "jwk" });
  return { kty: "OKP" as const, x: String(x), d: String(d) };
}

async function makeStateDir({ stateDir }: { stateDir: string }): Promise<void> {
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await access(stateDir, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new AppError(
      "invalid-input",
      `cannot use the state directory ${stateDir} (${(cause as Error).message}): make it as root for this user ("install -d -m 700 -o USER ${stateDir}"), or set MIRRORFLEET_STATE_DIR`,
      { cause },
    );
  }
}

/**
 * Enrols this host: makes its keys, trades the one-use token for an identity, and stores it 0600.
 * Killed before it is stored, the token is used up: the cure is a new one.
 * @throws AppError `conflict` where there is an identity already, `enrolment-token-invalid`.
 */
export async function join({
  controlPlane,
  stateDir,
  token,
  replace,
}: {
  controlPlane: string;
  stateDir: string;
  token: string;
  replace: boolean;
}): Promise<Identity> {
  if (existsSync(identityFile(stateDir)) && !replace) {
    throw new AppError(
      "conflict",
      `this host has joined a fleet already (${identityFile(stateDir)}): --replace makes new keys`,
    );
  }
  // Before the token is used up: an identity that cannot be stored would be lost.
  await makeStateDir({ stateDir });
  const signingKey = { ...newKey("ed25519"), crv: "Ed25519" as const };
  const sealingKey = { ...newKey("x25519"), crv: "X25519" as const };
  const { d: _signing, ...signingPublic } = signingKey;
  const { d: _sealing, ...sealingPublic } = sealingKey;
  const answer = await send({
    url: `${controlPlane}/v1/enrol`,
    method: "POST",
    body: JSON.stringify({ token, signingKey: signingPublic, sealingKey: sealingPublic }),
    timeoutSeconds: 30,
  });
  const identity = {
    ...parse(enrolAnswerSchema, answer, "the control plane's answer"),
    controlPlane,
    signingKey,
    sealingKey,
  };
  await writeIdentity({ stateDir, identity });
  return identity;
}
