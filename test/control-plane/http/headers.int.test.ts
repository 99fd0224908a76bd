import { expect, test } from "vitest";
import { createProject, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

const from = (address: string) => ({
  incoming: { socket: { remoteAddress: address, remotePort: 1, remoteFamily: "IPv4" } },
});

test("answers say what HTTP wants said: how to authenticate, what a path takes, that nothing may be kept", async () => {
  const { app, admin } = fleet.current;
  const refused = await app.request("/v1/projects");
  expect(refused.headers.get("www-authenticate")).toContain("Bearer");
  const headers = { authorization: `Bearer ${admin}` };
  const wrong = await app.request("/v1/projects", { method: "DELETE", headers });
  expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, POST"]);
  const right = await app.request("/v1/projects", { headers });
  expect(right.headers.get("cache-control")).toBe("no-store");
  expect(right.headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(right.headers.get("x-content-type-options")).toBe("nosniff");
});

test("an address that fails to authenticate again and again is told to wait; good credentials pass, and others too", async () => {
  const { app, admin } = fleet.current;
  const look = async (token: string, address: string) =>
    app.request("/v1/status", { headers: { authorization: `Bearer ${token}` } }, from(address));
  const wrong = `mfo_${"A".repeat(43)}`;
  for (let tries = 0; tries < 30; tries++)
    expect((await look(wrong, "192.0.2.7")).status).toBe(401);
  const limited = await look(wrong, "192.0.2.7");
  expect(limited.status).toBe(429);
  expect(Number(limited.headers.get("retry-after"))).toBeGreaterThan(0);
  expect((await limited.json()) as object).toMatchObject({ code: "too-many-requests" });
  expect((await look(wrong, "192.0.2.8")).status).toBe(401);
  expect((await look(admin, "192.0.2.7")).status).toBe(200);

  // Whoever has one IPv6 address has all of its network.
  for (let tries = 0; tries < 30; tries++)
    expect((await look(wrong, `2001:db8:1:2::${tries}`)).status).toBe(401);
  expect((await look(wrong, "2001:db8:1:2:3::1")).status).toBe(429);
  expect((await look(wrong, "2001:db8:1:3::1")).status).toBe(401);
});

test("If-Match holds for replace, patch and remove: a stale one changes nothing", async () => {
  await createProject(fleet.current);
  const { app, admin, operate } = fleet.current;
  const send = async (method: string, tag: string, body?: unknown) => {
    const response = await app.request("/v1/projects/debian", {
      method,
      headers: { authorization: `Bearer ${admin}`, "if-match": tag },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, etag: response.headers.get("etag") };
  };
  expect(await send("PATCH", '"1"', { description: "a" })).toEqual({ status: 200, etag: '"2"' });
  for (const [method, body] of [
    ["PATCH", { description: "b" }],
    ["PUT", {}],
    ["DELETE", undefined],
  ] as const)
    expect((await send(method, '"1"', body)).status).toBe(412);
  expect((await operate("GET", "/v1/projects/debian")).body.description).toBe("a");
  const both = await Promise.all(
    ["c", "d"].map((text) => send("PATCH", '"2"', { description: text })),
  );
  expect(both.map(({ status }) => String(status)).toSorted()).toEqual(["200", "412"]);
  expect((await send("DELETE", '"3"')).status).toBe(200);
});
