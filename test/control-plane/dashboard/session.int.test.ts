import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { encryptAtRest } from "../../../control-plane/auth/at-rest.ts";
import { dashboardRoutes } from "../../../control-plane/dashboard/routes.ts";
import { createApp } from "../../../control-plane/http/app.ts";
import { AppError } from "../../../protocol/errors.ts";
import { browse } from "../../helpers/browse.ts";
import { useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

test("who is not signed in is sent to the sign-in page, and from there to where they were", async () => {
  const { get, post } = browse(fleet.current.app);
  const away = await get("/runs?state=failed");
  expect(away.status).toBe(303);
  expect(away.headers.get("location")).toBe("/sign-in?next=%2Fruns%3Fstate%3Dfailed");
  const mistyped = await post("/sign-in", { token: "mfo_no", next: "/runs?state=failed" });
  expect(await mistyped.text()).toContain('name="next" value="/runs?state=failed"');
  const back = await post("/sign-in", { token: fleet.current.admin, next: "/runs?state=failed" });
  expect(back.headers.get("location")).toBe("/runs?state=failed");
  expect((await get("/runs?state=failed")).status).toBe(200);
});

test("no page and no button answers who is not signed in", async () => {
  const { ctx, app } = fleet.current;
  const open = new Set([
    "/sign-in",
    "/sign-in/oidc",
    "/sign-in/callback",
    "/sign-out",
    "/status",
    "/assets/:version/:name",
  ]);
  const routes = dashboardRoutes(ctx, { fetch: app.fetch }).routes.filter(
    ({ method, path }) => method !== "ALL" && !open.has(path),
  );
  expect(routes.length).toBeGreaterThan(25);
  const { get, post } = browse(app);
  for (const { method, path } of routes) {
    const where = path.replaceAll(/:\w+|\*/g, "0b8a7a9e-4d0c-4d4c-8f0e-0a8d3c1d2e3f");
    const answer = await (method === "GET" ? get(where) : post(where, {}));
    expect(answer.status, `${method} ${path}`).toBe(303);
    expect(answer.headers.get("location"), `${method} ${path}`).toMatch(/^\/sign-in/);
  }
});

test("after the sign-in nobody is sent to another site", async () => {
  for (const next of ["//evil.example", "https://evil.example", "/\\evil.example", "/a b", ""]) {
    const { post } = browse(fleet.current.app);
    const { headers } = await post("/sign-in", { token: fleet.current.admin, next });
    expect(headers.get("location"), next).toBe("/");
  }
});

test("the cookie holds the token sealed, out of scripts' and other sites' reach, for twelve hours", async () => {
  const { post } = browse(fleet.current.app);
  const { admin: token } = fleet.current;
  const plain = (await post("/sign-in", { token })).headers.get("set-cookie")!;
  expect(plain).toMatch(/^mirrorfleet=\S+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Lax$/);
  expect(plain).not.toContain(token);
  const behindTls = await post("/sign-in", { token }, { "x-forwarded-proto": "https" });
  expect(behindTls.headers.get("set-cookie")).toMatch(
    /^__Host-mirrorfleet=\S+; Max-Age=43200; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
  );
});

test("a session ends when its token is revoked, when it is old, and when it is none of ours", async () => {
  const { operate, ctx, admin, app } = fleet.current;
  const made = await operate("POST", "/v1/tokens", { name: "v", scope: "viewer" });
  const { get, post, cookie } = browse(app);
  await post("/sign-in", { token: made.body.token });
  expect((await get("/")).status).toBe(200);
  await operate("POST", `/v1/tokens/${made.body.info.id}/revoke`);
  expect((await get("/")).status).toBe(303);

  const inAnHour = Date.now() + 3_600_000;
  const statusWith = async (owner: string, until: number) => {
    const secret = JSON.stringify({ token: admin, until });
    cookie.value = `mirrorfleet=${await encryptAtRest(ctx.secrets, { secret, owner })}`;
    return (await get("/")).status;
  };
  expect(await statusWith("dashboard session", inAnHour)).toBe(200);
  expect(await statusWith("dashboard session", Date.now() - 1)).toBe(303);
  // What the same key seals for the database opens nothing here.
  expect(await statusWith("project debian", inAnHour)).toBe(303);
  cookie.value = "mirrorfleet=nonsense";
  expect((await get("/")).status).toBe(303);
});

test("any replica takes a session", async () => {
  const { post, cookie } = browse(fleet.current.app);
  await post("/sign-in", { token: fleet.current.admin });
  const other = browse(createApp({ ...fleet.current.ctx }));
  other.cookie.value = cookie.value;
  expect((await other.get("/")).status).toBe(200);
});

test("a token that may trigger one project alone signs in nobody", async () => {
  const { operate, ctx, app } = fleet.current;
  const { token } = (await operate("POST", "/v1/tokens", { name: "push", scope: "viewer" })).body;
  await ctx.db.execute(
    sql`update operator_tokens set scope = 'trigger:debian' where name = 'push'`,
  );
  const answer = await browse(app).post("/sign-in", { token });
  expect(answer.status).toBe(403);
  expect(answer.headers.get("set-cookie")).toBeNull();
});

test("a fault within is told on a page as no more than that", async () => {
  const { ctx, admin } = fleet.current;
  const db = new Proxy(ctx.db, {
    get: (target, name) => {
      if (name === "execute")
        return () => {
          throw new AppError("internal", "a stored secret of nobody cannot be opened");
        };
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const { get, post } = browse(createApp({ ...ctx, db }));
  await post("/sign-in", { token: admin });
  const page = await get("/projects/debian");
  const fleetPage = await get("/");
  for (const answer of [page, fleetPage])
    expect(await answer.text()).not.toContain("stored secret");
  expect(fleetPage.status).toBe(500);
});

test("signing out forgets the session", async () => {
  const { get, post } = browse(fleet.current.app);
  await post("/sign-in", { token: fleet.current.admin });
  await post("/sign-out", {});
  expect((await get("/")).status).toBe(303);
});

test("failed sign-ins count against their address, and are then told to wait", async () => {
  const socket = { remoteAddress: "203.0.113.5", remotePort: 1, remoteFamily: "IPv4" };
  const statuses: number[] = [];
  for (let tries = 0; tries < 31; tries++) {
    const { post } = browse(fleet.current.app, { incoming: { socket } });
    statuses.push((await post("/sign-in", { token: "mfo_wrong" })).status);
  }
  expect(statuses.filter((status) => status === 401)).toHaveLength(30);
  expect(statuses.at(-1)).toBe(429);
});

test("pages allow no script or style but our own files, and no cache keeps them", async () => {
  const { get, post } = browse(fleet.current.app);
  await post("/sign-in", { token: fleet.current.admin });
  for (const path of [
    "/sign-in",
    "/",
    "/hosts",
    "/hosts/ftp1",
    "/runs",
    "/admin",
    "/projects/no",
  ]) {
    const page = await get(path);
    expect(page.headers.get("content-security-policy")).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    );
    expect(page.headers.get("cache-control")).toBe("no-store");
    const text = await page.text();
    expect(text).not.toMatch(/<script(?! src)|<style|\sstyle=|\son\w+=/);
    const assets = [...text.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, url]) => url!);
    expect(assets.length).toBeGreaterThan(2);
    for (const url of assets) {
      const file = await get(url);
      expect(file.status).toBe(200);
      expect(file.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    }
  }
});
