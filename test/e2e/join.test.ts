import { execFile } from "node:child_process";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { calculateJwkThumbprint, decodeJwt, exportJWK, generateKeyPair, SignJWT } from "jose";
import { expect, test } from "vitest";
import { parseEnrolmentToken } from "../../protocol/enrolment.ts";
import { tokenTypes } from "../../protocol/order.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { startManInTheMiddle } from "../helpers/man-in-the-middle.ts";
import { startControlPlaneProgram } from "../helpers/programs.ts";
import { enrolment, hostKeys, joinRequest } from "../helpers/right-inputs.ts";

const program = join(import.meta.dirname, "../../agent/main.ts");

/** Runs the real `mirrorfleet-agent join`, with the token in its environment. */
async function runJoin(
  { url, stateDir, token }: { url: string; stateDir: string; token: string },
  ...more: string[]
) {
  const args = [program, "join", "--config", "/dev/null", "--control-plane", url];
  return promisify(execFile)(process.execPath, [...args, "--state-dir", stateDir, ...more], {
    env: { PATH: process.env["PATH"]!, MIRRORFLEET_ENROLMENT_TOKEN: token },
  }).then(
    ({ stdout, stderr }) => ({ status: 0, said: stdout + stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      status: error.code,
      said: error.stdout + error.stderr,
    }),
  );
}

const identityOf = async (stateDir: string) =>
  JSON.parse(await readFile(join(stateDir, "identity.json"), "utf8"));

async function invited() {
  const directory = await temporaryDirectory();
  const { client, url } = await startControlPlaneProgram({ directory });
  const { enrolment: made } = await client.createHost({
    name: "ftp1",
    roles: ["ftp"],
    addresses: ["192.0.2.1"],
  });
  return { directory, client, url, stateDir: join(directory, "state"), token: made.token };
}

test("a man in the middle learns nothing to enrol with, and cannot give the host keys of his own", async () => {
  const { client, url, stateDir, token } = await invited();
  const { url: between, heard, man } = await startManInTheMiddle(url);
  const own = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const { kty, crv, x } = await exportJWK(own.publicKey);
  const key = { kty, crv, x };
  const kid = await calculateJwkThumbprint(own.publicKey);
  const sign = (claims: object, audience: string) =>
    new SignJWT({ ...claims, jwks: { keys: [{ ...key, kid }] } })
      .setProtectedHeader({ alg: "EdDSA", typ: tokenTypes.joined, kid })
      .setAudience(audience)
      .sign(own.privateKey);
  const forgeries: [string, (body: { answer: string; key: object }) => Promise<object>][] = [
    [
      "his own key",
      async ({ answer }) => {
        const claims = decodeJwt(answer);
        return { answer: await sign(claims, String(claims.aud)), key };
      },
    ],
    [
      "his own signature under the true key's name",
      async ({ answer, key: true_ }) => {
        const claims = decodeJwt(answer);
        return { answer: await sign(claims, String(claims.aud)), key: true_ };
      },
    ],
    [
      "an answer that was changed",
      async ({ answer, ...rest }) => {
        const [head, body, signature] = answer.split(".");
        const claims = JSON.parse(Buffer.from(body!, "base64url").toString());
        const changed = Buffer.from(
          JSON.stringify({ ...claims, jwks: { keys: [{ ...key, kid }] } }),
        );
        return { ...rest, answer: [head, changed.toString("base64url"), signature].join(".") };
      },
    ],
    [
      "what an older control plane would answer",
      async ({ answer }) => {
        const claims = decodeJwt(answer);
        return { ...claims, jwks: { keys: [{ ...key, kid }] } };
      },
    ],
  ];
  for (const [what, forge] of forgeries) {
    man.meddle = async ({ body, ...rest }) => ({
      ...rest,
      body: JSON.stringify(await forge(JSON.parse(body))),
    });
    const { status, said } = await runJoin({ url: between, stateDir, token });
    expect([what, status]).not.toEqual([what, 0]);
    expect([what, said]).toEqual([
      what,
      expect.stringMatching(/not the control plane that made this invitation|answer is not valid/),
    ]);
    expect(await readdir(stateDir)).toEqual(["joining.json"]);
  }

  // He has passed the request on, so the host has joined; with what he heard he can join as nobody else.
  const { seed } = parseEnrolmentToken(token)!;
  expect(JSON.stringify(heard)).not.toContain(seed);
  expect(new Set(heard.map(({ path }) => path))).toEqual(new Set(["/v1/join"]));
  const replayed = await fetch(`${url}/v1/join`, { method: "POST", body: heard[0]!.body });
  const { answer } = (await replayed.json()) as { answer: string };
  const pending = JSON.parse(await readFile(join(stateDir, "joining.json"), "utf8"));
  expect(decodeJwt(answer).aud).toBe(await calculateJwkThumbprint(pending.signingKey));

  // When he is gone, the same token still joins the host that it was for: its keys are the same.
  man.meddle = (passed) => passed;
  const joined = await runJoin({ url: between, stateDir, token });
  expect(joined).toMatchObject({ status: 0, said: expect.stringContaining("joined as host ftp1") });
  expect((await identityOf(stateDir)).signingKey).toEqual(pending.signingKey);
  expect((await client.getHost("ftp1")).state).toBe("enrolled");
});

test("joining again with the same token changes nothing; another token needs --replace; a used one says so", async () => {
  const { client, directory, url, stateDir, token } = await invited();
  expect((await runJoin({ url, stateDir, token })).status).toBe(0);
  expect((await stat(join(stateDir, "identity.json"))).mode & 0o777).toBe(0o600);
  const first = await identityOf(stateDir);
  const again = await runJoin({ url, stateDir, token });
  expect(again.said).toContain("joined as host ftp1");
  expect(await identityOf(stateDir)).toEqual(first);
  const elsewhere = await runJoin({ url, stateDir: join(directory, "other"), token });
  expect(elsewhere.said).toContain("the enrolment token is unknown, used or expired");

  const { enrolment: second } = await client.inviteHost("ftp1");
  const refused = await runJoin({ url, stateDir, token: second.token });
  expect(refused.said).toMatch(/has joined a fleet already, as host ftp1 .*--replace/);
  const replaced = await runJoin({ url, stateDir, token: second.token }, "--replace");
  expect(replaced.status).toBe(0);
  expect((await identityOf(stateDir)).signingKey).not.toEqual(first.signingKey);
  // With --replace, too, the same line once more changes nothing.
  const third = await identityOf(stateDir);
  expect((await runJoin({ url, stateDir, token: second.token }, "--replace")).status).toBe(0);
  expect(await identityOf(stateDir)).toEqual(third);
});

test("what is no enrolment token is refused before anything is sent, and so is half of one", async () => {
  const { url, stateDir, token } = await invited();
  for (const wrong of ["", "mfo_x", token.slice(0, -1), `${token}x`]) {
    const { status, said } = await runJoin({ url, stateDir, token: wrong });
    expect([wrong, status, said]).toEqual([
      wrong,
      78,
      expect.stringContaining("the enrolment token is incomplete"),
    ]);
  }
});

test("a token of a control plane before protocol 2 is sent to it as it is, and a join request of another fleet's token is none", async () => {
  const { url, stateDir, token } = await invited();
  const other = await invited();
  const foreign = await fetch(`${url}/v1/join`, {
    method: "POST",
    body: JSON.stringify({ request: await joinRequest(other.token, hostKeys()) }),
  });
  expect(await foreign.json()).toMatchObject({ code: "conflict" });
  const { bare } = parseEnrolmentToken(token)!;
  expect((await runJoin({ url, stateDir, token: bare })).status).toBe(0);
  const used = await fetch(`${url}/v1/enrol`, {
    method: "POST",
    body: JSON.stringify(enrolment(bare)),
  });
  expect(await used.json()).toMatchObject({ code: "enrolment-token-invalid" });
});
