import { expect, test } from "vitest";
import { createProject, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

async function put(body: string | Uint8Array<ArrayBuffer>, path = "/v1/fleet", type = "yaml") {
  const response = await fleet.current.app.request(path, {
    method: path === "/v1/fleet" ? "PUT" : "POST",
    headers: {
      authorization: `Bearer ${fleet.current.admin}`,
      "content-type": `application/${type}`,
    },
    body,
  });
  return { status: response.status, body: (await response.json()) as any };
}

const nested = (open: string, close: string) => open.repeat(100_000) + close.repeat(100_000);

test.each([
  ["arrays", nested("[", "]")],
  ["objects", `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`],
])("JSON of %s within each other without end is refused at once", async (_, body) => {
  const began = performance.now();
  const answer = await put(body, "/v1/projects", "json");
  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(answer.status).toBeLessThan(500);
  expect(performance.now() - began).toBeLessThan(3000);
});

test.each([
  ["flow sequences", "[".repeat(500_000)],
  ["block sequences", "- ".repeat(300_000)],
  ["tags", "!x ".repeat(300_000)],
])("YAML of %s within each other without end is refused at once", async (_, body) => {
  const began = performance.now();
  expect(await put(body)).toMatchObject({ status: 400, body: { code: "malformed-body" } });
  expect(performance.now() - began).toBeLessThan(3000);
});

test.each([
  ["an alias of itself", "projects: &a\n  - *a\n"],
  [
    "aliases of aliases of aliases",
    `a: &a [1,1,1,1,1,1,1,1,1]\n${["b", "c", "d", "e", "f"].map((name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcde"[index]}`).join(",")}]`).join("\n")}`,
  ],
  ["a key twice", "projects:\n  - name: a\n    name: b\n"],
  ["two documents", "projects: []\n---\nprojects: []\n"],
  ["no end of a quotation", 'projects: "'],
])("YAML with %s is refused, and makes nothing", async (_, text) => {
  const { status, body } = await put(text);
  expect([400, 422]).toContain(status);
  expect(body.detail.length).toBeGreaterThan(20);
  expect((await fleet.current.operate("GET", "/v1/projects")).body.items).toEqual([]);
});

test("10,000 projects are refused as too many, none made; a bad one among good ones is named", async () => {
  const many = Array.from({ length: 10_000 }, (_, index) => `  - {name: p${index}}`).join("\n");
  expect((await put(`projects:\n${many}`)).body.errors).toEqual([
    { field: "projects", message: "must hold at most 5000 projects" },
  ]);
  const bad = await put("projects:\n  - {name: a}\n  - {name: b, schedul: x}\n");
  expect(bad.body.errors).toEqual([
    {
      field: "projects.1.schedul",
      message: 'is not a known field: did you mean "schedule"?',
    },
  ]);
  expect((await fleet.current.operate("GET", "/v1/projects")).body.items).toEqual([]);
});

test("YAML is read where a fleet is described, and nowhere else", async () => {
  expect(await put("name: a", "/v1/projects")).toMatchObject({ status: 400 });
});

test("a body that is not UTF-8 is refused, not guessed at", async () => {
  const bytes = Uint8Array.from(Buffer.from('{"name": "a", "description": "caf\u00E9"}', "latin1"));
  expect(await put(bytes, "/v1/projects", "json")).toMatchObject({
    status: 400,
    body: { detail: "the body is not UTF-8" },
  });
});

test("what is said of malformed JSON does not quote it: there may be a password in it", async () => {
  const answer = await put('{"login": {"password": hunter2}}', "/v1/projects", "json");
  expect(answer.status).toBe(400);
  expect(JSON.stringify(answer.body)).not.toContain("hunter2");
});

test("__proto__ is a field like any other that is not known", async () => {
  await createProject(fleet.current);
  const { operate } = fleet.current;
  for (const [path, body] of [
    ["/v1/projects/debian", '{"__proto__": {"x": 1}}'],
    ["/v1/hosts/ftp1", '{"labels": {"__proto__": "x"}}'],
  ] as const)
    expect((await operate("PATCH", path, body)).status).toBe(422);
});

test("numbers and times that the database cannot hold are refused", async () => {
  await createProject(fleet.current);
  const { operate } = fleet.current;
  const cursor = Buffer.from(
    JSON.stringify(["0000-01-01T00:00:00Z", "00000000-0000-4000-8000-000000000000"]),
  ).toString("base64url");
  for (const [method, path, body] of [
    ["POST", "/v1/projects/debian/sync", { approveDeletions: 3_000_000_000 }],
    ["GET", "/v1/runs?since=0000-01-01T00:00:00Z", undefined],
    ["GET", "/v1/tasks?until=0000-01-01T00:00:00%2B23:59", undefined],
    ["GET", "/v1/audit-events?until=9999-12-31T23:59:59-23:59", undefined],
    ["GET", `/v1/runs?cursor=${cursor}`, undefined],
    ["POST", "/v1/tokens", { name: "x", scope: "viewer", expiresAt: "9999-12-31T23:59:59-23:59" }],
  ] as const)
    expect([path, (await operate(method, path, body)).status]).toEqual([path, 422]);
});
