import { randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import { decodeJwt } from "jose";
import { expect, onTestFinished, test } from "vitest";
import { type ErrorCode, statusByCode } from "../../../protocol/errors.ts";
import type { StandingClaims } from "../../../protocol/standing.ts";
import { openOidc } from "../../../control-plane/auth/oidc.ts";
import { createOperatorToken } from "../../../control-plane/auth/operator-tokens.ts";
import { connect } from "../../../control-plane/db/connect.ts";
import { reclaimExpired } from "../../../control-plane/dispatch/reclaim.ts";
import { createApp } from "../../../control-plane/http/app.ts";
import { errorsOf } from "../../../control-plane/http/openapi.ts";
import type { Declaration, Operation } from "../../../control-plane/http/operation.ts";
import { operations } from "../../../control-plane/http/operations.ts";
import { enrolAgent } from "../../helpers/control-plane.ts";
import { createTestDatabase } from "../../helpers/database.ts";
import { createProject, useFleet } from "../../helpers/fleet.ts";
import {
  appWithPackages,
  enrolment,
  joinRequest,
  newProject,
  pull,
  results,
  rightInputs,
  standingRun,
} from "../../helpers/right-inputs.ts";
import { type Call, call, makeFingerprint, tellWalk } from "../../helpers/walk.ts";

const fleet = useFleet();
tellWalk("OpenAPI walk, documented errors");

const isOperators = ({ access }: Declaration) => !["public", "agent", "task"].includes(access);
const unknownToken = `mfo_${"A".repeat(43)}`;

/** These fail only where the process does: they ask nobody, or say 503 or 404 whatever is wrong. */
const cannotFail = (id: string, code: ErrorCode) =>
  code === "internal" && ["getHealth", "getReadiness", "getJoinScript", "getPackage"].includes(id);

/** Control planes on a database that is away, and on one that has no tables. */
async function brokenApps() {
  const { connection, drop } = await createTestDatabase({ migrated: false });
  onTestFinished(drop);
  const empty = connect({ connection, max: 2 });
  onTestFinished(empty.close);
  const away = connect({ connection: { ...connection, host: "/nonexistent" }, max: 2 });
  onTestFinished(away.close);
  const { ctx } = fleet.current;
  const oidc = openOidc({
    issuer: "http://127.0.0.1:1",
    audience: "x",
    scopeClaim: "scope",
    client: null,
  });
  return {
    empty: createApp({ ...ctx, db: empty.db }),
    away: createApp({ ...ctx, db: away.db }),
    noIssuer: createApp({ ...ctx, oidc }),
  };
}

/** What the errors that many operations have in common are provoked with. */
async function makeWorld() {
  const { ctx, operate } = fleet.current;
  await createProject(fleet.current);
  const revoked = await enrolAgent(fleet.current, { name: "revoked", role: "ftp" });
  await operate("POST", "/v1/hosts/revoked/revoke");
  const { token: push } = await createOperatorToken(ctx, { name: "push", scope: "trigger:other" });
  const leased = await pull(fleet.current);
  const createToken = operations.find(({ declaration }) => declaration.id === "createToken")!;
  const keyed = { body: { name: "x", scope: "viewer" }, headers: { "idempotency-key": "used" } };
  await call(fleet.current, createToken.declaration, keyed);
  for (let failures = 0; failures < 30; failures++)
    await call(fleet.current, createToken.declaration, { token: unknownToken, from: "192.0.2.7" });
  const unknown = `mfe_${"A".repeat(43)}.${ctx.secrets.fleet}`;
  const request = await joinRequest(unknown);
  return { revoked, push, leased, joinRequest: request, ...(await brokenApps()) };
}
type World = Awaited<ReturnType<typeof makeWorld>>;

/** Input that reaches the operation: of things that are there, with a body that is right. */
function plain({ id, access, body, example, rawBody, query }: Declaration, world: World): Call {
  const { task, token } = world.leased;
  const isTask = access === "task";
  return {
    path: { name: "debian", project: "debian", host: "ftp1", id: isTask ? task : randomUUID() },
    ...(isTask && { token }),
    ...(id === "getDaemonUsers" && { agent: fleet.current.master }),
    ...(body && { body: example ?? {} }),
    ...(id === "enrol" && { body: enrolment("mfe_wrong") }),
    ...(id === "join" && { body: { request: world.joinRequest } }),
    ...(rawBody && query && { body: "x", query: "?offset=0" }),
  };
}

/** Provokes an error as any operation of its kind answers it; null where it is the operation's own. */
function common({ declaration, kind }: Operation, code: ErrorCode, world: World): Call[] {
  const given = plain(declaration, world);
  const { access, params } = declaration;
  const hour = Math.floor(Date.now() / 1000) - 3600;
  const nowhere = { name: "no", project: "no", host: "no", id: "7" };
  const known: Partial<Record<ErrorCode, Call[]>> = {
    "invalid-input": [{ ...given, query: "?nonsense=1" }],
    "malformed-body": [
      { ...given, body: "{" },
      { ...given, body: "\u0000" },
    ],
    "body-too-large": [{ ...given, body: "x".repeat(2_000_000) }],
    "not-authenticated": [
      { ...given, token: null },
      { ...given, token: unknownToken },
    ],
    forbidden:
      access === "task"
        ? [{ ...given, path: { id: randomUUID() } }]
        : [{ ...given, token: world.push }],
    "not-found":
      params && access !== "task"
        ? [
            { ...given, path: nowhere },
            { ...given, path: { ...nowhere, id: randomUUID() } },
          ]
        : [],
    "precondition-failed": [
      { ...given, headers: { "if-match": '"999"' } },
      { ...given, headers: { "if-match": "no etag" } },
    ],
    conflict: kind === "change" ? [{ ...given, headers: { "idempotency-key": "used" } }] : [],
    "clock-skew": [{ ...given, claims: { iat: hour, exp: hour + 60 } }],
    "agent-revoked": [{ ...given, agent: world.revoked }],
    "too-many-requests": [{ ...given, token: unknownToken, from: "192.0.2.7" }],
    unavailable: [
      { ...given, app: world.away },
      ...(isOperators(declaration) ? [{ ...given, token: "a.b.c", app: world.noIssuer }] : []),
    ],
    internal: cannotFail(declaration.id, "internal") ? [] : [{ ...given, app: world.empty }],
  };
  return known[code] ?? [];
}

/** Provokes the errors that are an operation's own; each makes what it needs first. */
function own(world: World): Record<string, [ErrorCode, () => Promise<Call>][]> {
  const current = fleet.current;
  const { operate, clock, ctx, master } = current;
  const given = (call_: Call) => async () => call_;
  const elsewhere = { upstream: "rsync://a.example/b", path: "elsewhere" };
  const leasedName = { name: world.leased.name };
  const ended = async (which: "run" | "task", result = results.failed): Promise<Call> => ({
    path: { id: (await pull(current, result))[which] },
  });
  const paused = async (): Promise<Call> => {
    const name = await newProject(current);
    await operate("POST", `/v1/projects/${name}/pause`);
    return { path: { name }, body: {} };
  };
  const removed = async (given_: Call): Promise<Call> => {
    const { name, task: id, token } = await pull(current, results.failed);
    await operate("DELETE", `/v1/projects/${name}`);
    return { path: { id }, token, ...given_ };
  };
  const superseded = async (given_: Call): Promise<Call> => {
    const { task: id, token } = await pull(current);
    clock.offsetSeconds += 300;
    await reclaimExpired(ctx);
    return { path: { id }, token, ...given_ };
  };
  const result = {
    outcome: "ok",
    exitCode: 0,
    message: "",
    changes: 0,
    seconds: 1,
    logBytes: 0,
    stats: null,
  };
  return {
    createProject: [["conflict", given({ body: { ...elsewhere, name: "debian" } })]],
    replaceProject: [["conflict", given({ path: leasedName, body: elsewhere })]],
    patchProject: [["conflict", given({ path: leasedName, body: { path: "elsewhere" } })]],
    deleteProject: [["conflict", given({ path: leasedName })]],
    syncProject: [
      ["conflict", paused],
      [
        "invalid-input",
        given({ path: { name: "debian" }, body: { approveDeletions: 0 }, query: "?wait=1" }),
      ],
    ],
    dryRunProject: [["conflict", given({ path: leasedName })]],
    undoProject: [
      ["conflict", given({ path: leasedName })],
      ["conflict", async () => ({ path: { name: await newProject(current, { upstream: null }) } })],
    ],
    cloneProject: [["conflict", given({ path: leasedName, body: { name: "debian" } })]],
    moveReplica: [
      [
        "conflict",
        given({
          path: { project: world.leased.name, host: "master" },
          body: { root: "/srv/disk2" },
        }),
      ],
      [
        "invalid-input",
        given({ path: { project: "debian", host: "master" }, body: { root: "/srv/none" } }),
      ],
    ],
    resyncReplica: [["conflict", given({ path: { project: "debian", host: "ftp1" } })]],
    createHost: [
      ["conflict", given({ body: { name: "ftp1", roles: ["ftp"], addresses: ["192.0.2.1"] } })],
    ],
    cancelRun: [["conflict", () => ended("run")]],
    retryRun: [["conflict", given({ path: { id: world.leased.run } })]],
    cancelTask: [["conflict", () => ended("task")]],
    retryTask: [["conflict", given({ path: { id: world.leased.task } })]],
    approveTask: [["conflict", () => ended("task")]],
    dismissTask: [["conflict", () => ended("task")]],
    getTaskLog: [
      [
        "range-not-satisfiable",
        async () => ({ ...(await ended("task")), headers: { range: "bytes=5-" } }),
      ],
    ],
    applyFleet: [
      ["conflict", given({ body: { projects: [{ ...leasedName, ...elsewhere }] } })],
      ["invalid-input", given({ body: { projects: [{ ...elsewhere, name: "x", master: "no" }] } })],
    ],
    createAlertReceiver: [
      [
        "conflict",
        async () => {
          const body = { name: "there", kind: "slack", url: "https://hooks.example.org/x" };
          await operate("POST", "/v1/alert-receivers", body);
          return { body };
        },
      ],
      [
        "invalid-input",
        given({
          body: { name: "no-room", kind: "matrix", url: "https://m.example.org", secret: "x" },
        }),
      ],
    ],
    createToken: [["not-found", given({ body: { name: "x", scope: "trigger:none" } })]],
    revokeToken: [
      [
        "conflict",
        async () => {
          const { body } = await operate("GET", "/v1/tokens");
          return { path: { id: body.items.find(({ name }: any) => name === "test").id } };
        },
      ],
    ],
    rotateTaskKeys: [
      [
        "conflict",
        async () => {
          await operate("POST", "/v1/task-keys/rotate");
          return {};
        },
      ],
    ],
    join: [
      ["enrolment-token-invalid", given({ body: { request: "no JWS" } })],
      [
        "conflict",
        async () => {
          const { body } = await operate("POST", "/v1/hosts/ftp2/enrolment-tokens");
          const [bare] = body.enrolment.token.split(".");
          return { body: { request: await joinRequest(`${bare}.${"A".repeat(43)}`) } };
        },
      ],
    ],
    poll: [
      [
        "host-quarantined",
        async () => {
          await ctx.db.execute(sql`update hosts set quarantined_at = now() where name = 'ftp2'`);
          return {
            agent: current.ftp2,
            ...(await rightInputs(current)["poll"]!()),
          };
        },
      ],
    ],
    enrol: [["enrolment-token-invalid", given({ body: enrolment("mfe_wrong") })]],
    followTaskKeys: [["conflict", given({ body: { pinned: [] } })]],
    heartbeat: [["stale-attempt", () => superseded({ body: { progress: null } })]],
    appendTaskLog: [
      ["not-found", () => removed({ query: "?offset=0", body: "x" })],
      ["body-too-large", () => superseded({ query: "?offset=0", body: "x".repeat(300_000) })],
      ["body-too-large", () => superseded({ query: "?offset=99999999", body: "x" })],
    ],
    reportStandingRun: [
      [
        "order-refused",
        async () => {
          const report = await standingRun(current);
          // Of the same host and fleet, but no standing order.
          return { agent: master, body: { ...report, order: world.leased.token } };
        },
      ],
      [
        "not-found",
        async () => {
          const body = await standingRun(current);
          const { project } = decodeJwt<StandingClaims>(body.order).sync;
          await operate("DELETE", `/v1/projects/${project}`);
          return { agent: master, body };
        },
      ],
    ],
    getJoinScript: [["not-found", given({})]],
    getPackage: [
      ["not-found", given({ path: { file: "none.deb" } })],
      [
        "range-not-satisfiable",
        async () => ({
          app: await appWithPackages(current),
          path: { file: "mirrorfleet-agent-linux-x64" },
          headers: { range: "bytes=99-" },
        }),
      ],
    ],
    getMirrorz: [["not-found", given({})]],
    finishTask: [
      ["not-found", () => removed({ body: result })],
      ["stale-attempt", () => superseded({ body: result })],
    ],
  };
}

/** A 409 for a late result keeps that result with its attempt, as evidence. */
const keepsEvidence = (id: string, code: ErrorCode) =>
  id === "finishTask" && code === "stale-attempt";
test("each operation answers each of its documented errors, and changes nothing", async () => {
  const world = await makeWorld();
  const fingerprint = await makeFingerprint(fleet.current.ctx);
  const owned = own(world);
  const refuse = async ({ declaration }: Operation, code: ErrorCode, given: Call) => {
    const before = await fingerprint();
    const { status, body } = await call(fleet.current, declaration, given);
    const { id } = declaration;
    expect([id, status, body.code, body.detail]).toEqual([
      id,
      statusByCode[code],
      code,
      expect.stringMatching(code === "internal" ? /^internal error$/ : /\w{3}/),
    ]);
    if (!keepsEvidence(id, code)) expect([id, await fingerprint()]).toEqual([id, before]);
  };
  for (const operation of operations) {
    const { id } = operation.declaration;
    const provoked = new Set<ErrorCode>();
    for (const code of errorsOf(operation)) {
      const cases = common(operation, code, world).map((given) => async () => given);
      for (const [which, make] of owned[id] ?? []) if (which === code) cases.push(make);
      for (const make of cases) await refuse(operation, code, await make());
      if (cases.length > 0 || cannotFail(id, code)) provoked.add(code);
    }
    expect([id, [...provoked].toSorted()]).toEqual([id, errorsOf(operation).toSorted()]);
    const documented = new Set(errorsOf(operation));
    expect((owned[id] ?? []).filter(([code]) => !documented.has(code))).toEqual([]);
  }
  const inputs = rightInputs(fleet.current);
  expect(Object.keys(owned).filter((id) => !(id in inputs))).toEqual([]);
});
