import { createHash, generateKeyPairSync, randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { decodeJwt } from "jose";
import { createApp } from "../../control-plane/http/app.ts";
import { parseEnrolmentToken } from "../../protocol/enrolment.ts";
import type { Result } from "../../protocol/report.ts";
import type { StandingClaims } from "../../protocol/standing.ts";
import { type HostKeys, invitationKey, signJoinRequest } from "../../agent/join-request.ts";
import { temporaryDirectory } from "./directory.ts";
import { report, testResult } from "./control-plane.ts";
import { createProject, openLease, readRun, type TestFleet } from "./fleet.ts";
import type { Call } from "./walk.ts";

/** A result that holds deletions. */
const held: Partial<Result> = {
  outcome: "held",
  changes: 0,
  held: { deletions: 5, entries: 10, examples: [], directories: [] },
};
const failed: Partial<Result> = { outcome: "fatal", exitCode: 1, message: "no" };
export const results = { held, failed };

/** A receiver of alerts where nothing listens. */
const webhookReceiver = {
  name: "nobody",
  kind: "webhook",
  url: "http://127.0.0.1:2/hook",
  secret: `whsec_${Buffer.alloc(32, 7).toString("base64")}`,
};

const made = new WeakMap<TestFleet, number>();

/** A project of its own, and its name. */
export async function newProject(
  fleet: TestFleet,
  input: { upstream?: string | null; schedule?: string; public?: boolean } = {},
) {
  const number = (made.get(fleet) ?? 0) + 1;
  made.set(fleet, number);
  const name = `walk-${number}`;
  await createProject(fleet, { name, path: name, ...input });
  return name;
}

/** A project of its own whose pull is leased; with a result, it has ended so. */
export async function pull(fleet: TestFleet, result?: Partial<Result>) {
  const name = await newProject(fleet);
  const { body: run } = await fleet.operate("POST", `/v1/projects/${name}/sync`);
  for (;;) {
    const lease = openLease(await fleet.master.poll());
    const isIt = lease.sync.project === name;
    const body = testResult(isIt ? result : {});
    if (!isIt || result) await report(fleet, { ...lease, kind: "result", body });
    if (!isIt) continue;
    const [task] = (await readRun(fleet, run)).tasks;
    return { name, run: String(run.id), task: String(task.id), token: lease.token };
  }
}

/** A public project that ftp1 carries, and its name. */
export async function publicProject(fleet: TestFleet) {
  const name = await newProject(fleet, { public: true });
  await fleet.ctx.db.execute(
    sql`update replicas set fresh_at = now() where project_id = (select id from projects where name = ${name})`,
  );
  return name;
}

const publicKey = (type: "ed25519" | "x25519") =>
  (type === "ed25519"
    ? generateKeyPairSync("ed25519")
    : generateKeyPairSync("x25519")
  ).publicKey.export({ format: "jwk" });

const keyPair = (type: "ed25519" | "x25519") =>
  (type === "ed25519"
    ? generateKeyPairSync("ed25519")
    : generateKeyPairSync("x25519")
  ).privateKey.export({ format: "jwk" });

/** A host's key pairs. */
export const hostKeys = () =>
  ({ signingKey: keyPair("ed25519"), sealingKey: keyPair("x25519") }) as HostKeys;

/** Body of an enrolment with keys of its own. */
export const enrolment = (token: string) => ({
  token,
  signingKey: publicKey("ed25519"),
  sealingKey: publicKey("x25519"),
});

/** A join request for that enrolment token, with keys of its own. */
export function joinRequest(token: string, keys: HostKeys = hostKeys()): Promise<string> {
  const { seed, fingerprint } = parseEnrolmentToken(token)!;
  return signJoinRequest({ invitation: invitationKey(seed), fingerprint: fingerprint!, keys });
}

/** What the master did by a standing order, of a project of its own. */
export async function standingRun(fleet: TestFleet) {
  const name = await newProject(fleet, { schedule: "0 * * * *" });
  const { body } = await fleet.master.request("GET", "/v1/agent/standing-orders");
  const orders = body.orders as string[];
  const order = orders.find((each) => decodeJwt<StandingClaims>(each).sync.project === name)!;
  const [at] = decodeJwt<StandingClaims>(order).occurrences;
  const time = new Date(at! * 1000).toISOString();
  return { order, scheduledFor: time, startedAt: time, result: testResult() };
}

/** The control plane with one package of the agent. */
export async function appWithPackages({ ctx }: TestFleet) {
  const packagesDirectory = await temporaryDirectory();
  const name = "mirrorfleet-agent-linux-x64";
  await writeFile(join(packagesDirectory, name), "agent");
  const sum = createHash("sha256").update("agent").digest("hex");
  await writeFile(join(packagesDirectory, "SHA256SUMS"), `${sum}  ${name}\n`);
  return createApp({ ...ctx, packagesDirectory });
}

/** Right input for each operation, in an order in which each finds what it needs: project `debian` and the fleet. */
export function rightInputs(fleet: TestFleet): Record<string, () => Promise<Call>> {
  const { operate, master, ftp1 } = fleet;
  const byName = (name: string) => async (): Promise<Call> => ({ path: { name } });
  const given = (call: Call) => async () => call;
  const nothing = given({});
  const replica = { path: { project: "debian", host: "ftp1" } };
  const task = async (result?: Partial<Result>): Promise<Call> => ({
    path: { id: (await pull(fleet, result)).task },
  });
  const run = async (result?: Partial<Result>): Promise<Call> => ({
    path: { id: (await pull(fleet, result)).run },
  });
  const reported = async (call: Call): Promise<Call> => {
    const { task: id, token } = await pull(fleet);
    return { path: { id }, token, ...call };
  };
  return {
    listProjects: given({ query: "?search=deb&paused=0&limit=1" }),
    createProject: given({ body: { name: "fedora", upstream: "rsync://a.example/fedora" } }),
    getProject: byName("debian"),
    replaceProject: given({
      path: { name: "debian" },
      body: { upstream: "rsync://b.example/debian" },
    }),
    patchProject: given({ path: { name: "debian" }, body: { description: "Universal" } }),
    cloneProject: given({ path: { name: "debian" }, body: { name: "debian-copy" } }),
    deleteProject: byName("fedora"),
    pauseProject: byName("debian"),
    resumeProject: byName("debian"),
    syncProject: given({ path: { name: "debian-copy" }, body: {} }),
    dryRunProject: async () => ({ path: { name: await newProject(fleet) } }),
    undoProject: async () => ({ path: { name: await newProject(fleet) } }),
    previewSchedule: given({ query: "?schedule=0+4+*+*+*&zone=Europe/Berlin&count=3" }),
    listReplicas: given({ query: "?project=debian" }),
    getReplica: given(replica),
    pauseReplica: given(replica),
    resumeReplica: given(replica),
    moveReplica: given({ ...replica, body: { root: null } }),
    resyncReplica: given({ path: { project: "debian-copy", host: "master" } }),
    createHost: given({ body: { name: "ftp9", roles: ["ftp"], addresses: ["192.0.2.9"] } }),
    listHosts: given({ query: "?role=ftp" }),
    getHost: byName("ftp1"),
    patchHost: given({ path: { name: "ftp1" }, body: { labels: { site: "nyc" } } }),
    drainHost: byName("ftp1"),
    resumeHost: byName("ftp1"),
    releaseHost: byName("ftp1"),
    inviteHost: byName("ftp9"),
    uninviteHost: byName("ftp9"),
    enrol: async () => {
      const { body } = await operate("POST", "/v1/hosts/ftp9/enrolment-tokens");
      return { body: enrolment(body.enrolment.token) };
    },
    join: async () => {
      const { body } = await operate("POST", "/v1/hosts/ftp9/enrolment-tokens");
      return { body: { request: await joinRequest(body.enrolment.token) } };
    },
    revokeHost: byName("ftp9"),
    listRuns: given({ query: "?project=debian&state=failed&host=ftp1" }),
    getRun: () => run(failed),
    cancelRun: () => run(),
    retryRun: () => run(failed),
    tick: nothing,
    listTasks: given({ query: "?host=master&limit=2" }),
    getTask: () => task(failed),
    cancelTask: () => task(),
    retryTask: () => task(failed),
    approveTask: () => task(held),
    dismissTask: () => task(held),
    getTaskLog: () => task(failed),
    applyFleet: given({
      query: "?dryRun=1",
      body: { projects: [{ name: "applied", upstream: "rsync://c.example/applied" }] },
    }),
    getStatus: nothing,
    getSettings: nothing,
    patchSettings: given({ body: { upstreamParallel: 300 } }),
    pauseFleet: given({ body: { reason: "fire", cancelRunning: true } }),
    resumeFleet: nothing,
    listAuditEvents: given({ query: "?limit=5" }),
    createAlertReceiver: given({ body: webhookReceiver }),
    listAlertReceivers: nothing,
    getAlertReceiver: byName(webhookReceiver.name),
    patchAlertReceiver: given({
      path: { name: webhookReceiver.name },
      body: { conditions: ["held"], remindHours: null },
    }),
    silenceAlertReceiver: given({
      path: { name: webhookReceiver.name },
      body: { until: "2099-01-01T00:00:00Z" },
    }),
    testAlertReceiver: byName(webhookReceiver.name),
    deleteAlertReceiver: byName(webhookReceiver.name),
    listAlerts: given({ query: "?open=1&condition=stale&host=ftp1" }),
    listTokens: nothing,
    createToken: given({ body: { name: "x", scope: "trigger:debian" } }),
    revokeToken: async () => {
      const { body } = await operate("POST", "/v1/tokens", { name: "y", scope: "viewer" });
      return { path: { id: body.info.id } };
    },
    listTaskKeys: nothing,
    rotateTaskKeys: nothing,
    followTaskKeys: given({ body: { pinned: ftp1.answer.jwks.keys.map(({ kid }) => kid) } }),
    getMetrics: nothing,
    getPublicStatus: nothing,
    getTunasyncJson: nothing,
    getTunasyncJobs: nothing,
    getMirrorz: async () => {
      await operate("PATCH", "/v1/settings", {
        site: { url: "https://mirrors.example.org", abbr: "EX" },
      });
      return {};
    },
    getFeed: nothing,
    getPublicHealth: async () => ({ path: { project: await publicProject(fleet), host: "ftp1" } }),
    getJoinScript: async () => ({ app: await appWithPackages(fleet) }),
    getPackage: async () => ({
      app: await appWithPackages(fleet),
      path: { file: "mirrorfleet-agent-linux-x64" },
    }),
    getHealth: nothing,
    getReadiness: nothing,
    getTaskKeys: nothing,
    poll: async () => ({
      body: {
        pollId: randomUUID(),
        agentVersion: "1",
        waitSeconds: 0,
        daemonUsersVersion: null,
        daemonPort: null,
        roots: [{ path: "/srv/mirror", module: null }],
      },
    }),
    getDaemonUsers: given({ agent: master }),
    getStandingOrders: given({ agent: master }),
    reportStandingRun: async () => ({ agent: master, body: await standingRun(fleet) }),
    heartbeat: () => reported({ body: { progress: null } }),
    appendTaskLog: () => reported({ query: "?offset=0", body: "a line\n" }),
    finishTask: () => reported({ body: testResult() }),
  };
}
