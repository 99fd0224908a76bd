import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import { type OperatorScope, scopes } from "../../protocol/token.ts";
import type { Actor } from "./actor.ts";
import { decryptAtRest, encryptAtRest } from "./at-rest.ts";
import type { Secrets } from "./secrets.ts";

/** Hours for which the issuer's word counts that somebody has signed in there: a day of work. */
const hours = 8;
const prefix = "mfs_";
const owner = "identity that signed in";
const identitySchema = z.object({
  id: z.string(),
  name: z.string(),
  scope: z.enum(scopes),
  until: z.number(),
});

export const isIdentity = (token: string) => token.startsWith(prefix);

/** A credential of somebody whom the issuer has just named. It lives in the sealed session alone. */
export async function sealIdentity(
  secrets: Pick<Secrets, "storageKey">,
  { id, name, scope }: Actor & { scope: OperatorScope },
): Promise<string> {
  const secret = JSON.stringify({ id, name, scope, until: Date.now() + hours * 3_600_000 });
  return `${prefix}${await encryptAtRest(secrets, { secret, owner })}`;
}

/** Who that is. @throws AppError `not-authenticated`. */
export async function openIdentity(
  secrets: Pick<Secrets, "storageKey">,
  { token }: { token: string },
): Promise<Actor> {
  const ended = (cause?: unknown) =>
    new AppError("not-authenticated", "the sign-in has ended: sign in again", { cause });
  const text = await decryptAtRest(secrets, {
    encrypted: token.slice(prefix.length),
    owner,
  }).catch((cause: unknown) => {
    throw ended(cause);
  });
  const { until, ...actor } = identitySchema.parse(JSON.parse(text));
  if (until <= Date.now()) throw ended();
  return actor;
}
