import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "../files.ts";
import type { Identity } from "../identity.ts";

const ed25519 = "1.3.101.112";
const commonName = "2.5.4.3";

const fileSchema = z.object({
  /** Public agent key at whose time it was made: a host that joins anew makes this key anew, too. */
  agentKey: z.string(),
  /** PEM. */
  key: z.string(),
  certificate: z.string(),
  keySha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type TlsKey = z.infer<typeof fileSchema>;

export const tlsKeyFile = (stateDir: string) => join(stateDir, "daemon-tls.json");

/**
 * A certificate of a key by the key itself, PEM. It has no end (RFC 5280, 4.1.2.5): TLS asks for one, but whose
 * the key is, and for how long, the control plane's signed orders say.
 */
async function selfSigned({
  publicKey,
  privateKey,
}: {
  publicKey: KeyObject;
  privateKey: KeyObject;
}): Promise<string> {
  // Only here: it is needed once in a host's life.
  const { AsnConvert } = await import("@peculiar/asn1-schema");
  const x509 = await import("@peculiar/asn1-x509");
  const algorithm = new x509.AlgorithmIdentifier({ algorithm: ed25519 });
  const value = new x509.AttributeValue({ utf8String: "mirrorfleet" });
  const attribute = new x509.AttributeTypeAndValue({ type: commonName, value });
  const name = new x509.Name([new x509.RelativeDistinguishedName([attribute])]);
  const tbsCertificate = new x509.TBSCertificate({
    version: x509.Version.v3,
    serialNumber: Uint8Array.of(1).buffer,
    signature: algorithm,
    issuer: name,
    subject: name,
    validity: new x509.Validity({
      notBefore: new Date("2000-01-01T00:00:00Z"),
      notAfter: new Date("9999-12-31T23:59:59Z"),
    }),
    subjectPublicKeyInfo: AsnConvert.parse(
      publicKey.export({ type: "spki", format: "der" }),
      x509.SubjectPublicKeyInfo,
    ),
  });
  const signature = sign(null, Buffer.from(AsnConvert.serialize(tbsCertificate)), privateKey);
  const certificate = new x509.Certificate({
    tbsCertificate,
    signatureAlgorithm: algorithm,
    signatureValue: new Uint8Array(signature).buffer,
  });
  const base64 = Buffer.from(AsnConvert.serialize(certificate)).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${base64.replaceAll(/.{64}(?=.)/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
}

async function makeKey({ agentKey }: { agentKey: string }): Promise<TlsKey> {
  const pair = generateKeyPairSync("ed25519");
  const spki = pair.publicKey.export({ type: "spki", format: "der" });
  return {
    agentKey,
    key: String(pair.privateKey.export({ type: "pkcs8", format: "pem" })),
    certificate: await selfSigned(pair),
    keySha256: createHash("sha256").update(spki).digest("hex"),
  };
}

/** The key as it is on disk; null: none yet, or one that cannot be read. */
export async function readTlsKey({ stateDir }: { stateDir: string }): Promise<TlsKey | null> {
  const text = await readFile(tlsKeyFile(stateDir), "utf8").catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
      return null;
    },
  );
  if (text === null) return null;
  try {
    return fileSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** The key that a master's daemon shows. Made once, and again after the host has joined anew; kept for its owner alone. */
export async function openTlsKey({
  stateDir,
  identity,
}: {
  stateDir: string;
  identity: Pick<Identity, "signingKey">;
}): Promise<TlsKey> {
  const agentKey = identity.signingKey.x;
  const kept = await readTlsKey({ stateDir });
  if (kept?.agentKey === agentKey) return kept;
  const made = await makeKey({ agentKey });
  await writeFileAtomically({
    path: tlsKeyFile(stateDir),
    text: `${JSON.stringify(made, null, 2)}\n`,
    mode: 0o600,
  });
  return made;
}
