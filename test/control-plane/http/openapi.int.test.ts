import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { createOperatorToken } from "../../../control-plane/auth/operator-tokens.ts";
import { dashboardRoutes } from "../../../control-plane/dashboard/routes.ts";
import type { openApiDocument } from "../../../control-plane/http/openapi.ts";
import { operations } from "../../../control-plane/http/operations.ts";
import { createProject, openLease, trigger, useFleet } from "../../helpers/fleet.ts";
import { rightInputs } from "../../helpers/right-inputs.ts";
import { call, makeFingerprint, tellWalk } from "../../helpers/walk.ts";

const fleet = useFleet();
tellWalk("OpenAPI walk, right input and credentials");

const operators = operations.filter(({ declaration }) =>
  ["viewer", "operator", "admin", "trigger"].includes(declaration.access),
);

test("every route of the router is an operation with a declared access or a page, and nothing else answers", () => {
  const declared = operations.map(
    ({ declaration: { method, path } }) => `${method} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`,
  );
  const served = fleet.current.app.routes
    .filter(({ method, path }) => method !== "ALL" && !path.startsWith("/docs"))
    .map(({ method, path }) => `${method} ${path}`);
  const { ctx, app } = fleet.current;
  const pages = dashboardRoutes(ctx, { fetch: app.fetch })
    .routes.filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => `${method} ${path}`);
  expect(pages.filter((page) => page.includes("/v1"))).toEqual([]);
  expect(new Set(served)).toEqual(new Set([...declared, ...pages, "GET /openapi.json"]));
  expect(new Set(operations.map(({ declaration }) => declaration.id)).size).toBe(operations.length);
});

test("each operator's operation refuses no token, an unknown one, an agent's and a task's, and changes nothing", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  const fingerprint = await makeFingerprint(fleet.current.ctx);
  const before = await fingerprint();
  let cases = 0;
  for (const { declaration } of operators) {
    const agentToken = await fleet.current.ftp1.sign({
      method: declaration.method,
      path: declaration.path,
      body: "",
    });
    const values = { name: "debian", project: "debian", host: "ftp1", id: lease.taskId };
    for (const token of [null, `mfo_${"A".repeat(43)}`, agentToken, lease.token, ""]) {
      const answer = await call(fleet.current, declaration, {
        path: values,
        body: declaration.method === "GET" ? undefined : declaration.example,
        token,
      });
      expect([declaration.id, answer.status, answer.body.code]).toEqual([
        declaration.id,
        401,
        "not-authenticated",
      ]);
      cases += 1;
    }
  }
  expect(cases).toBe(operators.length * 5);
  expect(await fingerprint()).toBe(before);
});

test("each operation refuses a token whose scope is too small, and changes nothing", async () => {
  await createProject(fleet.current);
  await createProject(fleet.current, { name: "other", path: "other" });
  const make = async (scope: any) =>
    (await createOperatorToken(fleet.current.ctx, { name: scope, scope })).token;
  const tokens = {
    push: await make("trigger:other"),
    viewer: await make("viewer"),
    operator: await make("operator"),
  };
  const tooSmall = {
    viewer: [tokens.push],
    operator: [tokens.push, tokens.viewer],
    trigger: [tokens.push, tokens.viewer],
    admin: [tokens.push, tokens.viewer, tokens.operator],
  };
  const fingerprint = await makeFingerprint(fleet.current.ctx);
  const before = await fingerprint();
  for (const { declaration } of operators) {
    for (const token of tooSmall[declaration.access as keyof typeof tooSmall]) {
      const answer = await call(fleet.current, declaration, {
        path: { name: "debian", project: "debian", host: "ftp1", id: randomUUID() },
        body: declaration.method === "GET" ? undefined : declaration.example,
        token,
      });
      expect([declaration.id, answer.status]).toEqual([declaration.id, 403]);
    }
  }
  expect(await fingerprint()).toBe(before);
});

test("a push token triggers its own project, may lift no guard, and can do nothing else", async () => {
  await createProject(fleet.current);
  const { token } = await createOperatorToken(fleet.current.ctx, {
    name: "push",
    scope: "trigger:debian",
  });
  const { operate } = fleet.current;
  const pushed = await operate("POST", "/v1/projects/debian/sync", undefined, token);
  expect(pushed).toMatchObject({ status: 201, body: { trigger: "push" } });
  const approved = await operate(
    "POST",
    "/v1/projects/debian/sync",
    { approveDeletions: 5 },
    token,
  );
  expect(approved.status).toBe(403);
  expect((await operate("GET", "/v1/projects/debian", undefined, token)).status).toBe(403);
});

test("each operation takes right input, and answers what the document says", async () => {
  await createProject(fleet.current);
  const inputs = rightInputs(fleet.current);
  expect(Object.keys(inputs).toSorted()).toEqual(
    operations.map(({ declaration }) => declaration.id).toSorted(),
  );
  const byId = new Map(operations.map(({ declaration }) => [declaration.id, declaration]));
  for (const [id, make] of Object.entries(inputs)) {
    const declaration = byId.get(id)!;
    const answer = await call(fleet.current, declaration, await make());
    expect([id, answer.status, answer.status < 300 ? null : answer.body]).toEqual([
      id,
      declaration.status ?? 200,
      null,
    ]);
    if (typeof declaration.answer === "string") continue;
    const checked = declaration.answer.safeParse(answer.body);
    expect([id, checked.error?.issues ?? null]).toEqual([id, null]);
  }
});

test("the document is OpenAPI 3.1 and names each operation, its scope and its errors", async () => {
  const response = await fleet.current.app.request("/openapi.json");
  const document = (await response.json()) as ReturnType<typeof openApiDocument>;
  expect(document.openapi).toBe("3.1.0");
  for (const { declaration } of operations) {
    const operation = (document.paths[declaration.path] as any)[declaration.method.toLowerCase()];
    expect(operation.operationId).toBe(declaration.id);
    if (declaration.access !== "public") expect(operation.responses["401"]).toBeTruthy();
    if (declaration.rawBody)
      expect(operation.requestBody.content).toHaveProperty([declaration.rawBody]);
    if (declaration.yaml)
      expect(operation.requestBody.content).toHaveProperty(["application/yaml"]);
    if (declaration.body && operation.tags[0] !== "agents")
      expect(
        operation.requestBody.content["application/json"].example ?? null,
        declaration.id,
      ).not.toBeNull();
  }
});

test("the reference page takes nothing from elsewhere", async () => {
  const page = await fleet.current.app.request("/docs");
  expect(page.headers.get("content-security-policy")).toContain("default-src 'self'");
  const html = await page.text();
  expect(html).not.toMatch(/(src|href)="(https?:)?\/\//);
  for (const [, path] of html.matchAll(/(?:src|href)="(\/[^"]+)"/g))
    expect((await fleet.current.app.request(path!)).status).toBe(200);
});
