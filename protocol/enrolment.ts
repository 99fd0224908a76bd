import { z } from "zod";
import { enrolAnswerSchema, sealingKeySchema, signingKeySchema } from "./fleet.ts";

const bytes32 = "[A-Za-z0-9_-]{43}";
const tokenPattern = new RegExp(`^(mfe_(${bytes32}))(?:\\.(${bytes32}))?$`);

/** What an enrolment token holds, in base64url. */
export type EnrolmentToken = {
  /** The token without its fingerprint: what control planes before protocol 2 made. */
  bare: string;
  /** Seed (RFC 8032) of the invitation's key, which signs the join request and is never sent. */
  seed: string;
  /** Thumbprint (RFC 7638) of the control plane's key that answers; null: an older control plane made it. */
  fingerprint: string | null;
};

/** Takes an enrolment token apart; null where it is none. */
export function parseEnrolmentToken(text: string): EnrolmentToken | null {
  const [, bare, seed, fingerprint = null] = tokenPattern.exec(text) ?? [];
  return bare === undefined || seed === undefined ? null : { bare, seed, fingerprint };
}

/** Body of `POST /v1/join`. */
export const joinSchema = z.strictObject({
  request: z.string().min(1).max(4096).meta({
    description:
      "JWS of the host's public keys, signed with the invitation's key, which is in its header; the audience is the fingerprint",
  }),
});

/** Claims of a join request. It has no times: the token's own end counts, and a new host's clock may be off. */
export const joinClaimsSchema = z.object({
  aud: z.string().regex(new RegExp(`^${bytes32}$`)),
  signingKey: signingKeySchema,
  sealingKey: sealingKeySchema,
});

/** Answer to a join request. */
export const joinAnswerSchema = z.object({
  answer: z.string().meta({
    description:
      "JWS of what an enrolment answers, for the thumbprint of the host's signing key, signed by `key`",
  }),
  key: signingKeySchema.meta({
    description: "Its thumbprint (RFC 7638) must be the invitation's fingerprint",
  }),
});

/** Claims of its `answer`. */
export const joinedClaimsSchema = enrolAnswerSchema.extend({ aud: z.string() });
