import { z } from "zod";
import { decryptAtRest, encryptAtRest } from "./at-rest.ts";
import type { Secrets } from "./secrets.ts";

const owner = "dashboard sign-in";

const flowSchema = z.object({
  state: z.string(),
  nonce: z.string(),
  codeVerifier: z.string(),
  /** Page to go to afterwards. */
  next: z.string(),
});
/** What a sign-in at the issuer must come back with, and the browser keeps meanwhile. */
export type Flow = z.infer<typeof flowSchema>;

/** Seals it: the browser that keeps it can neither read nor change it. */
export async function sealFlow(
  secrets: Pick<Secrets, "storageKey">,
  { flow, seconds }: { flow: Flow; seconds: number },
): Promise<string> {
  const secret = JSON.stringify({ ...flow, until: Date.now() + seconds * 1000 });
  return encryptAtRest(secrets, { secret, owner });
}

/** Opens it; null where it is too old, or none of this fleet's. */
export async function openFlow(
  secrets: Pick<Secrets, "storageKey">,
  { sealed }: { sealed: string },
): Promise<Flow | null> {
  try {
    const text = await decryptAtRest(secrets, { encrypted: sealed, owner });
    const { until, ...flow } = flowSchema.extend({ until: z.number() }).parse(JSON.parse(text));
    return until > Date.now() ? flow : null;
  } catch {
    return null;
  }
}
