import { randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import type { z } from "zod";
import { statusByCode } from "../../../protocol/errors.ts";
import { createOperatorToken } from "../../../control-plane/auth/operator-tokens.ts";
import { errorsOf, openApiDocument } from "../../../control-plane/http/openapi.ts";
import type { Declaration, Operation } from "../../../control-plane/http/operation.ts";
import { operations } from "../../../control-plane/http/operations.ts";
import { report, testResult } from "../../helpers/control-plane.ts";
import { createProject, openLease, readRun, trigger, useFleet } from "../../helpers/fleet.ts";

const fleet = useFleet();

type Call = {
  path?: Record<string, string>;
  query?: string;
  body?: unknown;
  token?: string;
  headers?: Record<string, string>;
};

/** What the walk over the document called, told at its end. */
const walk = { operations: new Set<string>(), cases: 0, statuses: new Map<number, number>() };
afterAll(() => {
  const statuses = [...walk.statuses]
    .toSorted(([left], [right]) => left - right)
    .map(([status, count]) => `${count} x ${status}`);
  process.stdout.write(
    `OpenAPI walk: ${walk.operations.size} operations, ${walk.cases} cases (${statuses.join(", ")})\n`,
  );
});

async function call(
  { id, method, path }: Declaration,
  { path: values = {}, query = "", body, token, headers = {} }: Call,
) {
  const url = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "none");
  const response = await fleet.current.app.request(url + query, {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  walk.operations.add(id);
  walk.cases += 1;
  walk.statuses.set(response.status, (walk.statuses.get(response.status) ?? 0) + 1);
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json") ?? false;
  return { status: response.status, body: isJson ? JSON.parse(text) : text, response };
}

/** Every row of every table, so that "changed nothing" means just that. */
async function fingerprint(): Promise<string> {
  const { db } = fleet.current.ctx;
  const { rows: tables } = await db.execute<{ name: string }>(
    sql`select tablename as name from pg_tables where schemaname = 'public' order by 1`,
  );
  const sums: string[] = [];
  for (const { name } of tables) {
    const {
      rows: [row],
    } = await db.execute<{ sum: string }>(
      sql`select coalesce(md5(string_agg((to_jsonb(t) - 'last_used_at')::text, ',' order by t::text)), '') as sum from ${sql.identifier(name)} t`,
    );
    sums.push(`${name} ${row!.sum}`);
  }
  return sums.join("\n");
}

const operators = operations.filter(({ declaration }) =>
  ["viewer", "operator", "admin", "trigger"].includes(declaration.access),
);

test("every route of the router is an operation with a declared access, and nothing else answers", () => {
  const declared = operations.map(
    ({ declaration: { method, path } }) => `${method} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`,
  );
  const served = fleet.current.app.routes
    .filter(({ method, path }) => method !== "ALL" && !path.startsWith("/docs"))
    .map(({ method, path }) => `${method} ${path}`);
  expect(new Set(served)).toEqual(new Set([...declared, "GET /openapi.json"]));
  expect(new Set(operations.map(({ declaration }) => declaration.id)).size).toBe(operations.length);
});

test("each operator's operation refuses no token, an unknown one, an agent's and a task's, and changes nothing", async () => {
  await createProject(fleet.current);
  await trigger(fleet.current);
  const lease = openLease(await fleet.current.master.poll());
  const before = await fingerprint();
  let cases = 0;
  for (const { declaration } of operators) {
    const agentToken = await fleet.current.ftp1.sign({
      method: declaration.method,
      path: declaration.path,
      body: "",
    });
    const values = { name: "debian", project: "debian", host: "ftp1", id: lease.taskId };
    for (const token of [undefined, `mfo_${"A".repeat(43)}`, agentToken, lease.token, ""]) {
      const answer = await call(declaration, {
        path: values,
        body: declaration.method === "GET" ? undefined : declaration.example,
        ...(token !== undefined && { token }),
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
  const before = await fingerprint();
  for (const { declaration } of operators) {
    for (const token of tooSmall[declaration.access as keyof typeof tooSmall]) {
      const answer = await call(declaration, {
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

type Walked = { given: Call; status?: number };

/** Right input for each operation, in an order in which each finds what it needs. */
async function rightInputs(): Promise<Record<string, () => Promise<Walked>>> {
  const { operate, master, ftp1 } = fleet.current;
  const named = (name: string): Call => ({ path: { name } });
  const replica = { path: { project: "debian", host: "ftp1" } };
  const sync = async (name: string) => (await operate("POST", `/v1/projects/${name}/sync`)).body;
  let projects = 0;
  /** A run of a project of its own whose pull is leased, and then has failed if so wanted. */
  const pull = async ({ failed }: { failed: boolean }) => {
    const name = `walk-${++projects}`;
    await createProject(fleet.current, { name, path: name });
    const { id } = await sync(name);
    for (;;) {
      const lease = openLease(await master.poll());
      const isIt = lease.sync.project === name;
      const result = isIt ? { outcome: "fatal" as const, exitCode: 1, message: "no" } : {};
      if (!isIt || failed)
        await report(fleet.current, { ...lease, kind: "result", body: testResult(result) });
      if (isIt) break;
    }
    return { run: id, task: (await readRun(fleet.current, { id })).tasks[0].id };
  };
  const failedTask = async (): Promise<Walked> => ({
    given: { path: { id: (await pull({ failed: true })).task } },
  });
  return {
    listProjects: async () => ({ given: { query: "?search=deb&paused=0&limit=1" } }),
    createProject: async () => ({
      given: { body: { name: "fedora", upstream: "rsync://a.example/fedora" } },
    }),
    getProject: async () => ({ given: named("debian") }),
    replaceProject: async () => ({
      given: { ...named("debian"), body: { upstream: "rsync://b.example/debian" } },
    }),
    patchProject: async () => ({
      given: { ...named("debian"), body: { description: "The universal operating system" } },
    }),
    cloneProject: async () => ({ given: { ...named("debian"), body: { name: "debian-copy" } } }),
    deleteProject: async () => ({ given: named("fedora") }),
    pauseProject: async () => ({ given: named("debian") }),
    resumeProject: async () => ({ given: named("debian") }),
    syncProject: async () => ({ given: { ...named("debian-copy"), body: {} } }),
    previewSchedule: async () => ({
      given: { query: "?schedule=0+4+*+*+*&zone=Europe/Berlin&count=3" },
    }),
    listReplicas: async () => ({ given: { query: "?project=debian" } }),
    getReplica: async () => ({ given: replica }),
    pauseReplica: async () => ({ given: replica }),
    resumeReplica: async () => ({ given: replica }),
    moveReplica: async () => ({ given: { ...replica, body: { root: null } } }),
    resyncReplica: async () => ({ given: { path: { project: "debian-copy", host: "master" } } }),
    createHost: async () => ({
      given: { body: { name: "ftp9", roles: ["ftp"], addresses: ["192.0.2.9"] } },
    }),
    listHosts: async () => ({ given: { query: "?role=ftp" } }),
    getHost: async () => ({ given: named("ftp1") }),
    patchHost: async () => ({ given: { ...named("ftp1"), body: { labels: { site: "nyc" } } } }),
    drainHost: async () => ({ given: named("ftp1") }),
    resumeHost: async () => ({ given: named("ftp1") }),
    inviteHost: async () => ({ given: named("ftp9") }),
    uninviteHost: async () => ({ given: named("ftp9") }),
    revokeHost: async () => ({ given: named("ftp9") }),
    listRuns: async () => ({ given: { query: "?project=debian&state=failed&host=ftp1" } }),
    getRun: async () => ({ given: { path: { id: (await pull({ failed: true })).run } } }),
    cancelRun: async () => ({ given: { path: { id: (await pull({ failed: false })).run } } }),
    retryRun: async () => ({ given: { path: { id: (await pull({ failed: true })).run } } }),
    tick: async () => ({ given: {} }),
    listTasks: async () => ({ given: { query: "?host=master&limit=2" } }),
    getTask: failedTask,
    cancelTask: async () => ({ given: { path: { id: (await pull({ failed: false })).task } } }),
    retryTask: failedTask,
    getTaskLog: failedTask,
    applyFleet: async () => ({
      given: {
        query: "?dryRun=1",
        body: { projects: [{ name: "applied", upstream: "rsync://c.example/applied" }] },
      },
    }),
    getStatus: async () => ({ given: {} }),
    getSettings: async () => ({ given: {} }),
    patchSettings: async () => ({ given: { body: { upstreamParallel: 3 } } }),
    pauseFleet: async () => ({ given: { body: { reason: "fire", cancelRunning: true } } }),
    resumeFleet: async () => ({ given: {} }),
    listAuditEvents: async () => ({ given: { query: "?limit=5" } }),
    listTokens: async () => ({ given: {} }),
    createToken: async () => ({ given: { body: { name: "x", scope: "trigger:debian" } } }),
    revokeToken: async () => ({
      given: {
        path: {
          id: (await operate("POST", "/v1/tokens", { name: "y", scope: "viewer" })).body.info.id,
        },
      },
    }),
    listTaskKeys: async () => ({ given: {} }),
    rotateTaskKeys: async () => ({ given: {} }),
    followTaskKeys: async () => ({
      given: await signedCall(ftp1, "POST", "/v1/agent/task-keys", {
        pinned: ftp1.answer.jwks.keys.map(({ kid }) => kid),
      }),
    }),
    getHealth: async () => ({ given: {} }),
    getReadiness: async () => ({ given: {} }),
    getTaskKeys: async () => ({ given: {} }),
    poll: async () => ({
      given: await signedCall(ftp1, "POST", "/v1/agent/poll", {
        pollId: randomUUID(),
        agentVersion: "1",
        waitSeconds: 0,
        daemonUsersVersion: null,
        daemonPort: null,
        roots: [{ path: "/srv/mirror", module: null }],
      }),
    }),
    getDaemonUsers: async () => ({
      given: await signedCall(master, "GET", "/v1/agent/daemon-users"),
    }),
    getStandingOrders: async () => ({
      given: await signedCall(master, "GET", "/v1/agent/standing-orders"),
    }),
  };
}

async function signedCall(agent: any, method: string, path: string, body?: unknown): Promise<Call> {
  const text = body === undefined ? "" : JSON.stringify(body);
  return {
    token: await agent.sign({ method, path, body: text }),
    ...(body !== undefined && { body: text }),
  };
}

/** Operations that another test calls with right input, because they need a token used once, or a signed order. */
const calledElsewhere = ["enrol", "heartbeat", "appendTaskLog", "finishTask", "reportStandingRun"];

test("each operation takes right input, and answers what the document says", async () => {
  await createProject(fleet.current);
  const { token } = await createOperatorToken(fleet.current.ctx, { name: "walk", scope: "admin" });
  const inputs = await rightInputs();
  const walked: string[] = [];
  for (const { declaration } of [...operations].toSorted(
    (left, right) =>
      Object.keys(inputs).indexOf(left.declaration.id) -
      Object.keys(inputs).indexOf(right.declaration.id),
  )) {
    const make = inputs[declaration.id];
    if (!make) continue;
    const { given } = await make();
    const answer = await call(declaration, { token, ...given });
    expect([declaration.id, answer.status, answer.status < 300 ? null : answer.body]).toEqual([
      declaration.id,
      declaration.status ?? 200,
      null,
    ]);
    if (typeof declaration.answer !== "string") {
      const checked = declaration.answer.safeParse(answer.body);
      expect([declaration.id, checked.error?.issues ?? null]).toEqual([declaration.id, null]);
    }
    walked.push(declaration.id);
  }
  expect([...walked, ...calledElsewhere].toSorted()).toEqual(
    operations.map(({ declaration }) => declaration.id).toSorted(),
  );
});

const hasBody = ({ declaration }: Operation) => declaration.body !== undefined;

test("each operator's operation answers its documented errors to bad input, and changes nothing", async () => {
  await createProject(fleet.current);
  const { token } = await createOperatorToken(fleet.current.ctx, { name: "walk", scope: "admin" });
  const before = await fingerprint();
  for (const operation of operators) {
    const { declaration } = operation;
    const path = { name: "debian", project: "debian", host: "ftp1", id: randomUUID() };
    const answers = [
      await call(declaration, { token, path, query: "?nonsense=1" }),
      ...(hasBody(operation)
        ? [
            await call(declaration, { token, path, body: "{" }),
            await call(declaration, { token, path, body: "[]" }),
            await call(declaration, { token, path, body: "x".repeat(2_000_000) }),
            ...(declaration.id === "patchProject" || declaration.id === "cloneProject"
              ? []
              : [await call(declaration, { token, path, body: { nonsense: 1 } })]),
          ]
        : []),
      ...(declaration.params
        ? [
            await call(declaration, {
              token,
              path: { name: "no", project: "no", host: "no", id: "7" },
            }),
          ]
        : []),
    ];
    for (const { status, body } of answers) {
      const documented = errorsOf(operation).map((code) => `${statusByCode[code]} ${code}`);
      expect(documented, declaration.id).toContain(`${status} ${body.code}`);
      expect(status).toBeGreaterThanOrEqual(400);
    }
  }
  expect(await fingerprint()).toBe(before);
});

/** What is of the right kind and yet beyond what a column, a calendar or a stack holds. */
const atTheEdge = [
  2 ** 31,
  2 ** 32,
  Number.MAX_SAFE_INTEGER,
  "0000-01-01T00:00:00Z",
  "0000-01-01T00:00:00+23:59",
  "9999-12-31T23:59:59-23:59",
  "\0",
  "\uD800",
  "x".repeat(5000),
  JSON.parse(`${"[".repeat(200)}${"]".repeat(200)}`),
];

test("whatever a query holds, no list and no reading fails inside", async () => {
  const { token } = await createOperatorToken(fleet.current.ctx, { name: "fuzz", scope: "admin" });
  const cursors = ["[]", '["a"]', '["0000-01-01T00:00:00Z","x"]', '["\\u0000"]'].map((text) =>
    Buffer.from(text).toString("base64url"),
  );
  const values = [...atTheEdge, ...cursors, "-1", "1e9", "debian", "%", "🙂"].map(String);
  const asking = operators.filter(({ declaration }) => declaration.query !== undefined);
  for (const { declaration } of asking) {
    if (declaration.method !== "GET") continue;
    for (const field of Object.keys((declaration.query as z.ZodObject).shape))
      for (const value of values) {
        const query = `?${new URLSearchParams({ [field]: value }).toString()}`;
        const path = { name: "none", project: "none", host: "none", id: randomUUID() };
        const { status } = await call(declaration, { token, path, query });
        expect(status, `${declaration.id} ${query}`).toBeLessThan(500);
      }
  }
});

test("whatever is thrown at an operation, it never fails inside, and a refusal changes nothing", async () => {
  await createProject(fleet.current);
  const { token } = await createOperatorToken(fleet.current.ctx, { name: "fuzz", scope: "admin" });
  const writing = operators.filter(
    (operation) => hasBody(operation) && operation.declaration.id !== "pauseFleet",
  );
  const fields = [
    ...new Set(
      writing.flatMap(({ declaration }) =>
        Object.keys((declaration.body as z.ZodObject).shape ?? {}),
      ),
    ),
  ];
  const value = fc.oneof(
    fc.anything({ maxDepth: 2, withNullPrototype: false }),
    fc.string({ unit: "binary" }),
    fc.constantFrom("rsync://a.example/b", "0 4 * * *", "UTC", "debian", null, [], {}, 0, -1, 1e99),
    fc.constantFrom<unknown>(...atTheEdge),
  );
  const outcomes = new Map<number, number>();
  let before = await fingerprint();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...writing),
      fc.dictionary(fc.constantFrom(...fields), value, { maxKeys: 6 }),
      fc.constantFrom("debian", "none"),
      async ({ declaration }, body, name) => {
        const text = JSON.stringify(body, (_, item: unknown) =>
          typeof item === "bigint" ? Number(item) : item,
        );
        const { status, body: answer } = await call(declaration, {
          token,
          path: { name, project: name, host: "ftp1", id: randomUUID() },
          body: text,
        });
        outcomes.set(status, (outcomes.get(status) ?? 0) + 1);
        expect(status, `${declaration.id} ${text} ${JSON.stringify(answer)}`).toBeLessThan(500);
        const after = await fingerprint();
        if (status >= 400) expect(after).toBe(before);
        before = after;
      },
    ),
    { numRuns: 300 },
  );
  expect(outcomes.get(422)).toBeGreaterThan(50);
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
