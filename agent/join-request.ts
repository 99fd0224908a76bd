import { createPrivateKey } from "node:crypto";
import { calculateJwkThumbprint, importJWK, jwtVerify, SignJWT } from "jose";
import type { z } from "zod";
import { joinAnswerSchema, joinedClaimsSchema } from "../protocol/enrolment.ts";
import { AppError, parse } from "../protocol/errors.ts";
import type { EnrolAnswer, SealingKey, SigningKey } from "../protocol/fleet.ts";
import { signatureAlgorithm, tokenTypes } from "../protocol/order.ts";
import type { Identity } from "./identity.ts";

/** A host's key pairs, which it makes itself. */
export type HostKeys = Pick<Identity, "signingKey" | "sealingKey">;

/** The public part of a key pair. */
function publicOf<Key extends { kty: string; crv: string; x: string; d: string }>(
  key: Key,
): Omit<Key, "d"> {
  const { d: _, ...rest } = key;
  return rest;
}

export const publicKeys = (keys: HostKeys): { signingKey: SigningKey; sealingKey: SealingKey } => ({
  signingKey: publicOf(keys.signingKey),
  sealingKey: publicOf(keys.sealingKey),
});

// PKCS #8 wrapper of a raw Ed25519 seed (RFC 8410 §7).
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

/** The invitation's key, of its seed: its public part tells one invitation from another. */
export function invitationKey(seed: string): SigningKey & { d: string } {
  const der = Buffer.concat([pkcs8Prefix, Buffer.from(seed, "base64url")]);
  const { x, d } = createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({
    format: "jwk",
  });
  return { kty: "OKP", crv: "Ed25519", x: x!, d: d! };
}

/**
 * What a host shows to join: its public keys, for the control plane that the fingerprint names, signed with
 * the invitation's key. It holds no secret: whoever has it can enrol this host's keys and no others.
 */
export async function signJoinRequest({
  invitation,
  fingerprint,
  keys,
}: {
  invitation: SigningKey & { d: string };
  fingerprint: string;
  keys: HostKeys;
}): Promise<string> {
  return new SignJWT({ ...publicKeys(keys) })
    .setProtectedHeader({
      alg: signatureAlgorithm,
      typ: tokenTypes.join,
      jwk: publicOf(invitation),
    })
    .setAudience(fingerprint)
    .sign(await importJWK(invitation, signatureAlgorithm));
}

const stranger = (cause?: unknown) =>
  new AppError(
    "not-authenticated",
    "what answered is not the control plane that made this invitation: its answer is not signed by the key that the token names. Nothing was stored, and the token's secret was not sent. Look for a proxy in between, and at the address; then run the same again",
    { cause },
  );

/** Takes the answer to a join request where it is signed by the key with this fingerprint, for these keys. @throws AppError `not-authenticated`. */
export async function verifyJoinAnswer({
  body,
  fingerprint,
  keys,
}: {
  body: unknown;
  fingerprint: string;
  keys: HostKeys;
}): Promise<EnrolAnswer> {
  const { answer, key }: z.infer<typeof joinAnswerSchema> = parse(
    joinAnswerSchema,
    body,
    "the control plane's answer",
  );
  if ((await calculateJwkThumbprint(key)) !== fingerprint) throw stranger();
  const { payload } = await jwtVerify(answer, await importJWK(key, signatureAlgorithm), {
    algorithms: [signatureAlgorithm],
    typ: tokenTypes.joined,
    audience: await calculateJwkThumbprint(publicKeys(keys).signingKey),
  }).catch((cause: unknown) => {
    throw stranger(cause);
  });
  const { aud: _, ...enrolled } = parse(joinedClaimsSchema, payload, "the control plane's answer");
  return enrolled;
}
