import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { AppError, parse } from "../protocol/errors.ts";
import { enrolAnswerSchema, sealingKeySchema, signingKeySchema } from "../protocol/fleet.ts";
import { writeFileAtomically } from "./files.ts";

const secret = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

/** The key pairs of a host, as private JWKs. */
export const keysSchema = z.object({
  signingKey: signingKeySchema.extend({ d: secret }),
  sealingKey: sealingKeySchema.extend({ d: secret }),
});

/** Who this agent is, and whose orders it takes. Holds private keys: never logged, never sent. */
const identitySchema = enrolAnswerSchema.extend({
  ...keysSchema.shape,
  controlPlane: z.string(),
  /** Public key of the invitation that it joined by; absent: by one without, or with an earlier version. */
  invitation: z.string().optional(),
});
export type Identity = z.infer<typeof identitySchema>;

export const identityFile = (stateDir: string) => join(stateDir, "identity.json");

/** Stores the identity for its owner alone. */
export async function writeIdentity({
  stateDir,
  identity,
}: {
  stateDir: string;
  identity: Identity;
}): Promise<void> {
  await writeFileAtomically({
    path: identityFile(stateDir),
    text: `${JSON.stringify(identity, null, 2)}\n`,
    mode: 0o600,
  });
}

/** Reads the identity. @throws AppError `not-found` before `join`, `forbidden` where others may read it or this user may not. */
export async function readIdentity({ stateDir }: { stateDir: string }): Promise<Identity> {
  const path = identityFile(stateDir);
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "EACCES")
      throw new AppError(
        "forbidden",
        `${path} is not this user's: start the agent as the user that it joined as`,
        { cause },
      );
    if (cause.code !== "ENOENT") throw cause;
    throw new AppError(
      "not-found",
      `this host has not joined a fleet (${path} is missing): run "mirrorfleet-agent join"`,
      { cause },
    );
  });
  if (((await stat(path)).mode & 0o077) !== 0) {
    throw new AppError(
      "forbidden",
      `${path} holds private keys and others may read it: chmod 600 ${path}`,
    );
  }
  return parse(identitySchema, JSON.parse(text), path);
}
