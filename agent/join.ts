import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { access, constants, mkdir, readFile, rm } from "node:fs/promises";
import { join as joinPath } from "node:path";
import { z } from "zod";
import { type EnrolmentToken, parseEnrolmentToken } from "../protocol/enrolment.ts";
import { AppError, parse } from "../protocol/errors.ts";
import { type EnrolAnswer, enrolAnswerSchema } from "../protocol/fleet.ts";
import { writeFileAtomically } from "./files.ts";
import {
  type Identity,
  identityFile,
  keysSchema,
  readIdentity,
  writeIdentity,
} from "./identity.ts";
import {
  type HostKeys,
  invitationKey,
  publicKeys,
  signJoinRequest,
  verifyJoinAnswer,
} from "./join-request.ts";
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

/** Keys that were made for an invitation whose answer has not come yet. */
const pendingSchema = keysSchema.extend({ invitation: z.string() });

const pendingFile = (stateDir: string) => joinPath(stateDir, "joining.json");

/**
 * The keys to join with: on disk before they are sent, and the same ones when an invitation is tried again.
 * Where the answer was lost, or this process was killed, the control plane knows them and answers again.
 */
async function keysFor({
  stateDir,
  invitation,
}: {
  stateDir: string;
  invitation: string;
}): Promise<HostKeys> {
  const path = pendingFile(stateDir);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return "null";
  });
  const pending = pendingSchema.nullable().parse(JSON.parse(text));
  if (pending?.invitation === invitation) return pending;
  const keys = {
    signingKey: { ...newKey("ed25519"), crv: "Ed25519" as const },
    sealingKey: { ...newKey("x25519"), crv: "X25519" as const },
  };
  const made = JSON.stringify({ invitation, ...keys });
  await writeFileAtomically({ path, text: made, mode: 0o600 });
  return keys;
}

/** Asks the control plane to enrol these keys. Only a token that names no fingerprint is sent itself: its control plane knows no other way. */
async function ask({
  controlPlane,
  token: { bare, seed, fingerprint },
  keys,
}: {
  controlPlane: string;
  token: EnrolmentToken;
  keys: HostKeys;
}): Promise<EnrolAnswer> {
  const post = (path: string, body: object) =>
    send({
      url: `${controlPlane}${path}`,
      method: "POST",
      body: JSON.stringify(body),
      timeoutSeconds: 30,
    });
  if (fingerprint === null) {
    const answer = await post("/v1/enrol", { token: bare, ...publicKeys(keys) });
    return parse(enrolAnswerSchema, answer, "the control plane's answer");
  }
  const invitation = invitationKey(seed);
  const request = await signJoinRequest({ invitation, fingerprint, keys });
  return verifyJoinAnswer({ body: await post("/v1/join", { request }), fingerprint, keys });
}

/** The identity that this state directory has; null where it has none. */
async function present(stateDir: string): Promise<Identity | null> {
  return existsSync(identityFile(stateDir)) ? readIdentity({ stateDir }) : null;
}

/**
 * Enrols this host: makes its keys, trades the one-use token for an identity, and stores it 0600. Run again
 * with the same token it goes on where it was, and where it had joined it answers that. @throws AppError
 * `conflict` where it has joined by another token, `enrolment-token-invalid`, `not-authenticated` where
 * another than the control plane has answered.
 */
export async function join({
  controlPlane,
  stateDir,
  token: text,
  replace,
}: {
  controlPlane: string;
  stateDir: string;
  token: string;
  replace: boolean;
}): Promise<Identity> {
  const token = parseEnrolmentToken(text);
  if (!token)
    throw new AppError(
      "invalid-input",
      'the enrolment token is incomplete, or something else: it is "mfe_" with 43 characters, a dot and 43 more',
    );
  const invitation = invitationKey(token.seed).x;
  const before = await present(stateDir);
  if (before?.invitation === invitation) return before;
  if (before && !replace) {
    throw new AppError(
      "conflict",
      `this machine has joined a fleet already, as host ${before.host} (${identityFile(stateDir)}): --replace makes new keys, and ends what it was`,
    );
  }
  // Before the token is used up: an identity that cannot be stored would be lost.
  await makeStateDir({ stateDir });
  const { signingKey, sealingKey } = await keysFor({ stateDir, invitation });
  const answer = await ask({ controlPlane, token, keys: { signingKey, sealingKey } });
  const identity = { ...answer, controlPlane, signingKey, sealingKey, invitation };
  await writeIdentity({ stateDir, identity });
  await rm(pendingFile(stateDir), { force: true });
  return identity;
}
