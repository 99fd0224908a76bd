import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { openBuild } from "../../build/context.ts";
import { writeSums } from "../../build/sums.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

/** A directory with two built files, and a key pair of a releaser. */
async function makeRelease(type: "ed25519" | "rsa") {
  const out = await temporaryDirectory();
  const keys = await temporaryDirectory();
  await writeFile(join(out, "b.tgz"), "second");
  await writeFile(join(out, "a.deb"), "first");
  const { privateKey, publicKey } =
    type === "ed25519"
      ? generateKeyPairSync("ed25519")
      : generateKeyPairSync("rsa", { modulusLength: 2048 });
  const keyFile = join(keys, "release.key");
  await writeFile(keyFile, privateKey.export({ type: "pkcs8", format: "pem" }));
  await writeFile(join(keys, "release.pub"), publicKey.export({ type: "spki", format: "pem" }));
  const ctx = openBuild({ out, log: () => {} });
  const environment = { MIRRORFLEET_SIGNING_KEY_FILE: keyFile };
  return { out, keys, sign: () => writeSums(ctx, { environment }) };
}

test("sums and signature are what sha256sum and openssl check, and nothing else passes", async () => {
  const { out, keys, sign } = await makeRelease("ed25519");
  await sign();
  const verify = () =>
    promisify(execFile)(
      "sh",
      [
        "-ec",
        `openssl pkeyutl -verify -pubin -inkey '${keys}/release.pub' -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig
         sha256sum --check --strict SHA256SUMS`,
      ],
      { cwd: out },
    );
  expect((await verify()).stdout).toContain("a.deb: OK\nb.tgz: OK\n");
  await appendFile(join(out, "a.deb"), "!");
  await expect(verify()).rejects.toMatchObject({ code: 1 });
  await sign();
  await appendFile(join(out, "SHA256SUMS"), "\n");
  await expect(verify()).rejects.toMatchObject({ code: 1 });
});

test("a key of another kind is refused", async () => {
  const { sign } = await makeRelease("rsa");
  await expect(sign()).rejects.toThrow("is no Ed25519 key");
});
