import { X509Certificate } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { openTlsKey, tlsKeyFile } from "../../../agent/rsync/tls-key.ts";
import { temporaryDirectory } from "../../helpers/directory.ts";

const identity = (x: string) => ({
  signingKey: { kty: "OKP" as const, crv: "Ed25519" as const, x, d: "" },
});

test("a master's key is made once, for its owner alone, with a certificate that does not run out", async () => {
  const stateDir = await temporaryDirectory();
  const made = await openTlsKey({ stateDir, identity: identity("first") });
  expect(await openTlsKey({ stateDir, identity: identity("first") })).toEqual(made);
  expect((await stat(tlsKeyFile(stateDir))).mode & 0o777).toBe(0o600);
  const certificate = new X509Certificate(made.certificate);
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(certificate.validTo).toBe("Dec 31 23:59:59 9999 GMT");
});

test("a host that has joined anew has another key, and so has one whose file is damaged", async () => {
  const stateDir = await temporaryDirectory();
  const first = await openTlsKey({ stateDir, identity: identity("first") });
  const second = await openTlsKey({ stateDir, identity: identity("second") });
  expect(second.keySha256).not.toBe(first.keySha256);
  const text = await readFile(tlsKeyFile(stateDir), "utf8");
  await writeFile(tlsKeyFile(stateDir), text.slice(0, 100));
  const third = await openTlsKey({ stateDir, identity: identity("second") });
  expect(third.keySha256).not.toBe(second.keySha256);
  expect(await openTlsKey({ stateDir, identity: identity("second") })).toEqual(third);
});
