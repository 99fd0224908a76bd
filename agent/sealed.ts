import { compactDecrypt, importJWK } from "jose";
import { AppError } from "../protocol/errors.ts";
import type { Identity } from "./identity.ts";

/** Opens what the control plane sealed to this agent. @throws AppError `order-refused`. */
export async function openSealed(
  { identity }: { identity: Identity },
  { sealed }: { sealed: string },
): Promise<string> {
  const key = await importJWK(identity.sealingKey, "ECDH-ES");
  const { plaintext } = await compactDecrypt(sealed, key, {
    keyManagementAlgorithms: ["ECDH-ES"],
    contentEncryptionAlgorithms: ["A256GCM"],
  }).catch((cause: unknown) => {
    throw new AppError(
      "order-refused",
      "a password could not be opened: it is not sealed to this agent",
      { cause },
    );
  });
  return new TextDecoder().decode(plaintext);
}
