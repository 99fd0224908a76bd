import { CompactEncrypt, compactDecrypt } from "jose";
import { AppError } from "../../protocol/errors.ts";
import type { Secrets } from "./secrets.ts";

/** Encrypts a secret for the database (JWE, A256GCM), bound to its owner: moved to another row it does not open. */
export async function encryptAtRest(
  { storageKey }: Pick<Secrets, "storageKey">,
  { secret, owner }: { secret: string; owner: string },
): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(secret))
    .setProtectedHeader({ alg: "dir", enc: "A256GCM", owner })
    .encrypt(storageKey);
}

/** Opens what `encryptAtRest` made. @throws AppError `internal` where it was tampered with. */
export async function decryptAtRest(
  { storageKey }: Pick<Secrets, "storageKey">,
  { encrypted, owner }: { encrypted: string; owner: string },
): Promise<string> {
  const { plaintext, protectedHeader } = await compactDecrypt(encrypted, storageKey, {
    keyManagementAlgorithms: ["dir"],
    contentEncryptionAlgorithms: ["A256GCM"],
  }).catch((cause: unknown) => {
    throw new AppError("internal", `a stored secret of ${owner} cannot be opened`, { cause });
  });
  if (protectedHeader["owner"] !== owner)
    throw new AppError("internal", `a stored secret of ${owner} belongs to somebody else`);
  return new TextDecoder().decode(plaintext);
}
