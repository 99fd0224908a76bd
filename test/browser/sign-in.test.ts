import { expect, test } from "vitest";
import { freePort } from "../../demo/processes.ts";
import { openBrowser } from "../helpers/browser.ts";
import { temporaryDirectory } from "../helpers/directory.ts";
import { startIssuer } from "../helpers/oidc-issuer.ts";
import { startControlPlaneProgram } from "../helpers/programs.ts";

test("an operator signs in at the issuer, and gets to the page that was asked for, also at the second try", async () => {
  const port = await freePort();
  const client = { clientId: "dashboard", clientSecret: "of the client" };
  const redirectUri = `http://127.0.0.1:${port}/sign-in/callback`;
  const { issuer, state } = await startIssuer({ ...client, redirectUri });
  const { url } = await startControlPlaneProgram({
    directory: await temporaryDirectory(),
    port,
    env: {
      OIDC_ISSUER: issuer,
      OIDC_CLIENT_ID: client.clientId,
      OIDC_CLIENT_SECRET: client.clientSecret,
      OIDC_REDIRECT_URI: redirectUri,
    },
  });
  const { page, faults, look } = await openBrowser({ provoked: /status of 401/ });
  const there = page.getByRole("link", { name: /^Sign in with 127/ });
  await page.goto(`${url}/runs`);
  await there.click();
  await page.getByText("the person said no").waitFor();
  await look("sign-in-issuer");
  state.who = { sub: "u1", claims: { email: "ann@example.org", mirrorfleet_scope: "operator" } };
  await there.click();
  await page.getByText("ann@example.org").waitFor();
  expect(page.url()).toBe(`${url}/runs`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await there.waitFor();
  expect(faults).toEqual([]);
});
