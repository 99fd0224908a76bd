import { expect, onTestFinished, test, vi } from "vitest";
import { openOidc } from "../../../control-plane/auth/oidc.ts";
import { createApp } from "../../../control-plane/http/app.ts";
import { browse } from "../../helpers/browse.ts";
import { startControlPlane } from "../../helpers/control-plane.ts";
import { createTestDatabase } from "../../helpers/database.ts";
import { type Person, startIssuer, walkThrough } from "../../helpers/oidc-issuer.ts";

const back = "http://localhost/sign-in/callback";
const client = { id: "dashboard", secret: "of the client", redirectUri: back };
const person = (scope: unknown): Person => ({
  sub: "u-17",
  claims: { email: "ann@example.org", mirrorfleet_scope: scope },
});

async function serve(issuer: string) {
  const database = await createTestDatabase();
  const scopes = "openid profile email";
  const settings = { issuer, audience: null, scopeClaim: "mirrorfleet_scope" };
  const oidc = openOidc({ ...settings, client: { ...client, scopes } });
  const controlPlane = await startControlPlane({ connection: database.connection, oidc });
  onTestFinished(async () => {
    await controlPlane.close();
    await database.drop();
  });
  return controlPlane;
}

async function makeSite({ inIdToken = true } = {}) {
  const { issuer, state } = await startIssuer({
    clientId: client.id,
    clientSecret: client.secret,
    redirectUri: back,
    inIdToken,
  });
  return { ...(await serve(issuer)), issuer, state };
}

/** A browser that has been at the issuer: what it comes back with, and how to. */
async function goThere({ app }: Pick<Awaited<ReturnType<typeof makeSite>>, "app">, next = "/runs") {
  const browser = browse(app);
  const away = await browser.get(`/sign-in/oidc?next=${encodeURIComponent(next)}`);
  expect(away.status).toBe(303);
  const url = away.headers.get("location")!;
  return { browser, url, comeBack: async () => (await walkThrough(url, { back })).search };
}

test.each([true, false])(
  "an operator signs in at the issuer, sees and does what the claim's scope allows (claim in the ID token: %s)",
  async (inIdToken) => {
    const site = await makeSite({ inIdToken });
    site.state.who = person(["staff", "operator"]);
    expect(await (await browse(site.app).get("/sign-in?next=/runs")).text()).toMatch(
      /href="\/sign-in\/oidc\?next=%2Fruns"\s*>Sign in with 127\.0\.0\.1:\d+</,
    );
    const { browser, url, comeBack } = await goThere(site);
    const asked = new URL(url).searchParams;
    expect(asked.get("code_challenge_method")).toBe("S256");
    expect(asked.get("state")).toMatch(/^.{20,}$/);
    expect(asked.get("nonce")).toMatch(/^.{20,}$/);
    const answer = await browser.get(`/sign-in/callback${await comeBack()}`);
    expect(answer.headers.get("location")).toBe("/runs");
    const cookies = answer.headers.getSetCookie();
    expect(cookies[0]).toMatch(/^mirrorfleet-sign-in=; Max-Age=0/);
    expect(cookies[1]).toMatch(/^mirrorfleet=\S+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Lax$/);
    browser.cookie.value = cookies[1]!.split(";")[0]!;
    const page = await (await browser.get("/admin")).text();
    expect(page).toContain("ann@example.org");
    expect((await browser.post("/do/v1/settings/pause", {})).status).toBe(303);
    const { items } = (await site.operate("GET", "/v1/audit-events")).body;
    expect(items).toMatchObject([{ action: "pauseFleet", actor: "ann@example.org" }]);
    expect((await browser.get("/admin/audit")).status).toBe(403);
    // A day of work later the issuer has to say it again.
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + 8 * 3_600_000 + 1000);
    onTestFinished(() => void vi.restoreAllMocks());
    expect((await browser.get("/admin")).status).toBe(303);
  },
);

test("nobody signs in whom the issuer refuses, who has no scope here, or who brings what was not begun in this browser", async () => {
  const site = await makeSite();
  const refused = async (
    browser: ReturnType<typeof browse>,
    query: string,
    status: number,
    says: RegExp,
  ) => {
    const answer = await browser.get(`/sign-in/callback${query}`);
    expect(answer.status, query).toBe(status);
    expect(await answer.text(), query).toMatch(says);
    expect(answer.headers.getSetCookie().filter((line) => line.startsWith("mirrorfleet="))).toEqual(
      [],
    );
  };
  const said = await goThere(site);
  await refused(
    said.browser,
    await said.comeBack(),
    401,
    /does not sign you in: the person said no/,
  );
  site.state.who = person("superuser");
  const known = await goThere(site);
  await refused(
    known.browser,
    await known.comeBack(),
    403,
    /mirrorfleet_scope&quot; holds none of/,
  );
  site.state.who = person("admin");
  const mine = await goThere(site);
  const query = await mine.comeBack();
  // Somebody else's answer: theirs is another state, or none.
  await refused(browse(site.app), query, 401, /was not begun here/);
  const other = await goThere(site);
  await refused(other.browser, query, 401, /answer is not valid/);
  const stateOf = (url: string) => new URL(url).searchParams.get("state")!;
  const third = await goThere(site);
  const swapped = new URLSearchParams(query);
  swapped.set("state", stateOf(third.url));
  await refused(third.browser, `?${swapped.toString()}`, 401, /does not sign you in/);
  const stale = await goThere(site);
  await refused(
    stale.browser,
    `?code=forged&state=${stateOf(stale.url)}&iss=${encodeURIComponent(site.issuer)}`,
    401,
    /does not sign you in/,
  );
  await refused(
    stale.browser,
    `?code=forged&state=${stateOf(stale.url)}`,
    401,
    /was not begun here/,
  );
});

test("after the issuer nobody is sent to another site, and what a sign-in left is of use to nobody where the issuer is not asked", async () => {
  const site = await makeSite();
  site.state.who = person("viewer");
  const { browser, comeBack } = await goThere(site, "//evil.example/");
  const answer = await browser.get(`/sign-in/callback${await comeBack()}`);
  expect(answer.headers.get("location")).toBe("/");
  const without = browse(createApp({ ...site.ctx, oidc: null }));
  without.cookie.value = answer.headers.getSetCookie()[1]!.split(";")[0]!;
  expect((await without.get("/")).status).toBe(303);
  expect((await without.get("/sign-in/oidc")).status).toBe(404);
  expect(await (await without.get("/sign-in")).text()).not.toContain("/sign-in/oidc");
});

test("while the issuer is away the sign-in page says so, and operator tokens sign in", async () => {
  const { app, admin } = await serve("http://127.0.0.1:1");
  const { get, post } = browse(app);
  const away = await get("/sign-in/oidc");
  expect(away.status).toBe(503);
  expect(await away.text()).toContain("issuer cannot be asked");
  expect((await post("/sign-in", { token: admin })).status).toBe(303);
});
