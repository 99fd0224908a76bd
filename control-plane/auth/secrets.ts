import { createHash, hkdfSync, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { AppError } from "../../protocol/errors.ts";

/** Keys that replicas derive from one secret, so that they share nothing else but the database. */
export type Secrets = {
  /** Identity of the fleet: thumbprint of its first task key (RFC 7638). */
  fleet: string;
  /** Seed of the fleet's first task key (RFC 8032): 32 bytes. */
  firstTaskKey: Buffer;
  /** Encrypts secrets in the database: 256 bits. */
  storageKey: Uint8Array;
  /** Password with which one host pulls from a master's rsync daemon; changes with the host's key. */
  daemonPassword: (input: { hostId: string; keyThumbprint: string }) => string;
};

/** Derives the keys. `secret` is 32 or more random bytes. */
export function deriveSecrets({ secret }: { secret: Buffer }): Omit<Secrets, "fleet"> {
  const derive = (info: string) => Buffer.from(hkdfSync("sha256", secret, "mirrorfleet", info, 32));
  return {
    firstTaskKey: derive("task key 1"),
    storageKey: derive("stored secrets 1"),
    daemonPassword: ({ hostId, keyThumbprint }) =>
      derive(`rsync password 1 ${hostId} ${keyThumbprint}`).toString("base64url"),
  };
}

/** Reads the secret from the environment's base64 text, or from a 0600 file made at first start. */
export async function loadSecret({
  text,
  file,
}: {
  text: string | undefined;
  file: string;
}): Promise<Buffer> {
  if (text === undefined) {
    await writeFile(file, `${randomBytes(32).toString("base64")}\n`, {
      mode: 0o600,
      flag: "wx",
      flush: true,
    }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  }
  const secret = Buffer.from((text ?? (await readFile(file, "utf8"))).trim(), "base64");
  if (secret.length < 32) {
    throw new AppError(
      "invalid-input",
      `${text === undefined ? file : "MIRRORFLEET_SECRET"} must hold at least 32 random bytes in base64: make them with "openssl rand -base64 32"`,
    );
  }
  return secret;
}

/** SHA-256, for tokens that are random and long. */
export function hashToken(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/** A new random token; the prefix tells people and secret scanners what it is. */
export function newToken(prefix: "mfo" | "mfe"): string {
  return `${prefix}_${randomBytes(32).toString("base64url")}`;
}
