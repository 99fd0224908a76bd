import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readConfig } from "../../control-plane/config.ts";
import { temporaryDirectory } from "../helpers/directory.ts";

test("secret and database may be systemd's credentials; variables come before them", async () => {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, "mirrorfleet.secret"), "c2VjcmV0\n");
  await writeFile(join(directory, "mirrorfleet.database-url"), "postgres://user@db/mirrorfleet\n");
  const environment = { CREDENTIALS_DIRECTORY: directory };
  expect(readConfig(environment)).toMatchObject({
    secret: "c2VjcmV0",
    databaseUrl: "postgres://user@db/mirrorfleet",
  });
  expect(readConfig({ ...environment, MIRRORFLEET_SECRET: "b3RoZXI=" }).secret).toBe("b3RoZXI=");
});

test("credentials that are not given are not missed", async () => {
  const environment = { CREDENTIALS_DIRECTORY: await temporaryDirectory() };
  expect(readConfig(environment)).toMatchObject({ secret: undefined, databaseUrl: undefined });
});

const issuer = { OIDC_ISSUER: "https://login.example.org" };
const client = {
  ...issuer,
  OIDC_CLIENT_ID: "mirrorfleet",
  OIDC_REDIRECT_URI: "https://mirror-control.example.org/sign-in/callback",
};

test("an issuer is for tokens, for signing in, or for both", () => {
  expect(readConfig({}).oidc).toBeNull();
  expect(readConfig({ ...issuer, OIDC_AUDIENCE: "us" }).oidc).toMatchObject({
    audience: "us",
    client: null,
  });
  expect(readConfig(client).oidc).toMatchObject({
    audience: null,
    client: { id: "mirrorfleet", secret: null, scopes: "openid profile email" },
  });
  const both = { ...client, OIDC_AUDIENCE: "us", OIDC_CLIENT_SECRET: "s", OIDC_SCOPES: "openid g" };
  expect(readConfig(both).oidc).toMatchObject({
    audience: "us",
    client: { secret: "s", scopes: "openid g" },
  });
});

test("settings of an issuer that cannot work are refused with the variable at fault", () => {
  expect(() => readConfig(issuer)).toThrow(/OIDC_AUDIENCE or OIDC_CLIENT_ID is missing/);
  expect(() => readConfig({ ...issuer, OIDC_CLIENT_ID: "x" })).toThrow(/OIDC_REDIRECT_URI is miss/);
  for (const uri of [
    "http://mirror-control.example.org/sign-in/callback",
    "https://mirror-control.example.org/",
    "https://mirror-control.example.org/sign-in/callback?x=1",
  ])
    expect(() => readConfig({ ...client, OIDC_REDIRECT_URI: uri }), uri).toThrow(/OIDC_REDIRECT_/);
  expect(() => readConfig({ ...client, OIDC_SCOPES: "profile" })).toThrow(/OIDC_SCOPES/);
});
