import { z } from "zod";
import { AppError } from "../../protocol/errors.ts";
import { decryptAtRest, encryptAtRest } from "./at-rest.ts";
import type { Secrets } from "./secrets.ts";

/** Hours for which a sign-in lasts, whatever its token's own end. */
const hours = 12;
/** Longest credential whose session still fits into a cookie. */
const longestToken = 2500;
const owner = "dashboard session";
const sessionSchema = z.object({ token: z.string(), until: z.number() });

export const sessionSeconds = hours * 3600;

/**
 * Seals a credential into a session: nobody but the fleet's control planes can read it, and each of them can.
 * @throws AppError `not-authenticated` where it is too long for a cookie.
 */
export async function sealSession(
  secrets: Pick<Secrets, "storageKey">,
  { token }: { token: string },
): Promise<string> {
  if (token.length > longestToken)
    throw new AppError("not-authenticated", "this credential is too long for a browser's session");
  const secret = JSON.stringify({ token, until: Date.now() + sessionSeconds * 1000 });
  return encryptAtRest(secrets, { secret, owner });
}

/** The credential in a session; null where the session has ended or is none of this fleet's. */
export async function openSession(
  secrets: Pick<Secrets, "storageKey">,
  { sealed }: { sealed: string },
): Promise<string | null> {
  try {
    const text = await decryptAtRest(secrets, { encrypted: sealed, owner });
    const { token, until } = sessionSchema.parse(JSON.parse(text));
    return until > Date.now() ? token : null;
  } catch {
    return null;
  }
}
