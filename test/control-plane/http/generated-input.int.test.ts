import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { z } from "zod";
import type { Declaration } from "../../../control-plane/http/operation.ts";
import { operations } from "../../../control-plane/http/operations.ts";
import { createProject, type TestFleet, useFleet } from "../../helpers/fleet.ts";
import { pull, results, rightInputs } from "../../helpers/right-inputs.ts";
import { type Call, call, makeFingerprint, tellWalk } from "../../helpers/walk.ts";

const fleet = useFleet();
tellWalk("Generated input");

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

const fieldsOf = (schema: z.ZodType | undefined) =>
  Object.keys((schema as z.ZodObject | undefined)?.shape ?? {});

test("whatever a query holds, no list and no reading fails inside", async () => {
  const cursors = ["[]", '["a"]', '["0000-01-01T00:00:00Z","x"]', '["\\u0000"]'].map((text) =>
    Buffer.from(text).toString("base64url"),
  );
  const values = [...atTheEdge, ...cursors, "-1", "1e9", "debian", "%", "🙂"].map(String);
  for (const { declaration } of operations) {
    if (declaration.method !== "GET") continue;
    for (const field of fieldsOf(declaration.query))
      for (const value of values) {
        const query = `?${new URLSearchParams({ [field]: value }).toString()}`;
        const path = { name: "none", project: "none", host: "none", id: randomUUID() };
        const { status } = await call(fleet.current, declaration, { path, query });
        expect(status, `${declaration.id} ${query}`).toBeLessThan(500);
      }
  }
});

const anything = fc.oneof(
  fc.anything({ maxDepth: 2, withNullPrototype: false }),
  fc.string({ unit: "binary" }),
  fc.constantFrom("rsync://a.example/b", "0 4 * * *", "UTC", "debian", null, [], {}, 0, -1, 1e99),
  fc.constantFrom<unknown>(...atTheEdge),
);

/** Replaces some fields of a body that is right by anything, adds others, or is anything itself. */
function bodies(right: unknown, fields: string[]) {
  if (fields.length === 0 || typeof right !== "object") return anything;
  const changed = fc
    .dictionary(fc.constantFrom(...fields), anything, { maxKeys: 3 })
    .map((some) => Object.assign({}, right, some));
  return fc.oneof({ weight: 5, arbitrary: changed }, { weight: 1, arbitrary: anything });
}

/** Values for an operation's path and query. What would keep the answer open for minutes is left out. */
function places({ query }: Declaration, right: Call) {
  const names = fc.constantFrom("debian", "none", "", "..", "%00", "\uFFFF", "x".repeat(300));
  const fields = fieldsOf(query).filter((field) => field !== "wait" && field !== "follow");
  const text = fc.oneof(fc.string(), anything.map(String)).map((value) => value.toWellFormed());
  const queries =
    fields.length === 0
      ? fc.constant("")
      : fc.dictionary(fc.constantFrom(...fields), text, { maxKeys: 2 }).map((some) => {
          const search = new URLSearchParams(some).toString();
          return search && `?${search}`;
        });
  const path = fc.record({ name: names, project: names, host: names, id: fc.uuid() });
  return {
    path: right.path ? fc.oneof(fc.constant(right.path), path) : fc.constant({}),
    query: fc.oneof(fc.constant(right.query ?? ""), queries),
  };
}

const headers = fc.oneof(
  fc.constant({}),
  fc.record(
    {
      "if-match": fc.constantFrom('"1"', "*", "x", '"99999999999"'),
      "idempotency-key": fc.constantFrom("a", "b", " ", "x".repeat(300)),
    },
    { requiredKeys: [] },
  ),
);

const textOf = (body: unknown) =>
  JSON.stringify(body, (_, item: unknown) => (typeof item === "bigint" ? Number(item) : item)) ??
  "";

/** Right input of each operation that stays right however often it is sent, or that once was. */
async function inputsToChange(current: TestFleet) {
  const leased = await pull(current);
  const ended = await pull(current, results.failed);
  const reported = { path: { id: leased.task }, token: leased.token };
  const inputs = rightInputs(current);
  const fixed: Record<string, Call> = {
    ...Object.fromEntries(
      ["getRun", "cancelRun", "retryRun"].map((id) => [id, { path: { id: ended.run } }]),
    ),
    ...Object.fromEntries(
      ["getTask", "cancelTask", "retryTask", "approveTask", "dismissTask", "getTaskLog"].map(
        (id) => [id, { path: { id: ended.task } }],
      ),
    ),
    dryRunProject: { path: { name: ended.name } },
    undoProject: { path: { name: ended.name } },
    revokeToken: { path: { id: randomUUID() } },
    heartbeat: { ...reported, body: { progress: null } },
    appendTaskLog: { ...reported, query: "?offset=0", body: "x" },
  };
  return async (id: string) => fixed[id] ?? inputs[id]!();
}

const casesEach = 12;

test("whatever is thrown at any operation, it never fails inside, and a refusal changes nothing", async () => {
  const current = fleet.current;
  await createProject(current);
  await current.operate("POST", "/v1/hosts", { name: "ftp9", roles: ["ftp"], addresses: ["::1"] });
  const inputOf = await inputsToChange(current);
  const fingerprint = await makeFingerprint(current.ctx);
  const refused = new Map<string, number>();
  for (const { declaration } of operations) {
    const { id, body, rawBody } = declaration;
    const right = await inputOf(id);
    const { path, query } = places(declaration, right);
    const input = fc.record({
      path,
      query,
      headers,
      ...(body && { body: bodies(right.body, fieldsOf(body)).map(textOf) }),
      ...(rawBody && { body: fc.string({ unit: "binary", maxLength: 2000 }) }),
    });
    let before = await fingerprint();
    await fc.assert(
      fc.asyncProperty(input, async (changed) => {
        const { status, body: answer } = await call(current, declaration, { ...right, ...changed });
        expect(status, `${id} ${JSON.stringify(changed)} ${JSON.stringify(answer)}`).toBeLessThan(
          500,
        );
        const after = await fingerprint();
        if (status >= 400) {
          refused.set(id, (refused.get(id) ?? 0) + 1);
          expect(after).toBe(before);
        }
        before = after;
      }),
      { numRuns: casesEach },
    );
    // What stops or removes what the others work on is made good again.
    if (id === "pauseFleet") await current.operate("POST", "/v1/settings/resume");
    if (id === "deleteProject") await createProject(current);
  }
  const taking = operations.filter(({ declaration }) => declaration.body !== undefined);
  const neverRefused = taking.filter(({ declaration }) => !refused.has(declaration.id));
  expect(neverRefused.map(({ declaration }) => declaration.id)).toEqual([]);
});
