import { randomUUID } from "node:crypto";
import fc from "fast-check";
import type { Sql } from "postgres";
import { expect } from "vitest";
import { reclaimExpired } from "../../control-plane/dispatch/reclaim.ts";
import type { Result } from "../../protocol/report.ts";
import { outcomes } from "../../protocol/states.ts";
import { report, testResult } from "./control-plane.ts";
import { openLease, type TestFleet } from "./fleet.ts";

const projects = ["alpha", "beta"] as const;
const hosts = ["master", "ftp1", "ftp2"] as const;
type HostName = (typeof hosts)[number];
type Lease = ReturnType<typeof openLease> & { host: HostName; result: Result | null };

/** What the clients of one fleet know: what they were given, and what was accepted from them. */
export type Clients = {
  fleet: TestFleet;
  sql: Sql;
  leases: Lease[];
  polls: Map<HostName, { pollId: string; lease: Lease | null }>;
  accepted: Set<Lease>;
  refused: Set<Lease>;
  runs: string[];
};

const project = fc.constantFrom(...projects);
const host = fc.constantFrom(...hosts);
const flag = fc.boolean();
/** Of those that there are, counted from the latest. */
const back = fc.oneof({ weight: 3, arbitrary: fc.nat(2) }, { weight: 1, arbitrary: fc.nat(20) });
const outcome = fc.oneof(
  { weight: 2, arbitrary: fc.constant("ok" as const) },
  { weight: 1, arbitrary: fc.constantFrom(...outcomes) },
);
const action = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant("trigger" as const), project }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("pull" as const), project }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("poll" as const), host, repeated: flag }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("heartbeat" as const), back }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("result" as const),
      back,
      again: flag,
      outcome,
      changes: fc.nat(1),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("expire" as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("outlive" as const), back }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cancelRun" as const), back }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cancelTask" as const), back }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("retry" as const), back }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("pauseProject" as const), project, stop: flag }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("pauseReplica" as const),
      project,
      host,
      stop: flag,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("drain" as const), host, stop: flag }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("emergency" as const) }) },
);
type Action = typeof action extends fc.Arbitrary<infer Value> ? Value : never;

/** What clients do next: one thing, or several at the same time. */
export const actions: fc.Arbitrary<Action[]> = fc.oneof(
  { weight: 2, arbitrary: action.map((one) => [one]) },
  { weight: 1, arbitrary: fc.array(action, { minLength: 2, maxLength: 4 }) },
);

const recent = <Item>(items: Item[], index: number): Item | undefined =>
  items[items.length - 1 - (index % items.length)];

/** An operator's request: done, or refused because of the state that things are in. */
async function operate({ fleet }: Clients, path: string, body?: unknown) {
  const answer = await fleet.operate("POST", path, body);
  if (answer.status >= 300)
    expect(answer).toMatchObject({ status: 409, body: { code: "conflict" } });
  return answer.status < 300 ? answer.body : null;
}

const lastChange = async (sql: Sql) =>
  Number((await sql`select coalesce(max(number), 0) as last from chaos_journal`)[0]!["last"]);

/** A trigger is followed by a run that begins after it. */
async function trigger(clients: Clients, name: string): Promise<void> {
  const before = await lastChange(clients.sql);
  const run = await operate(clients, `/v1/projects/${name}/sync`);
  if (run === null) return;
  clients.runs.push(run.id);
  const began = await clients.sql`
    select from chaos_journal where kind = 'run' and id = ${run.id} and new_state = 'running'
    and number <= ${before}`;
  expect(began.length).toBe(0);
}

/** Does this attempt hold its task's lease? */
async function holds({ sql }: Clients, { taskId, attempt }: Lease): Promise<boolean> {
  const rows = await sql`
    select from tasks where id = ${taskId} and attempt = ${attempt} and state = 'leased'`;
  return rows.length > 0;
}

async function poll(
  clients: Clients,
  { host: name, repeated, alone }: { host: HostName; repeated: boolean; alone: boolean },
): Promise<void> {
  const last = clients.polls.get(name);
  const again = repeated && last ? last : null;
  const pollId = again?.pollId ?? randomUUID();
  const held = again?.lease && alone && (await holds(clients, again.lease)) ? again.lease : null;
  const answer = await clients.fleet[name].poll({ pollId });
  expect(answer).toHaveProperty("lease");
  let lease: Lease | null = null;
  if (answer.lease) {
    const opened = openLease(answer);
    const same = (each: Lease) => each.taskId === opened.taskId && each.attempt === opened.attempt;
    lease = clients.leases.find(same) ?? { ...opened, host: name, result: null };
    expect(lease.host).toBe(name);
    // Another poll of this host may only get it if it is the same poll.
    if (!clients.leases.includes(lease)) clients.leases.push(lease);
    else expect(again).not.toBeNull();
  }
  if (held) expect(lease).toBe(held);
  clients.polls.set(name, { pollId, lease });
}

async function tell(
  clients: Clients,
  {
    lease,
    kind,
    body,
    alone,
  }: { lease: Lease; kind: "heartbeat" | "result"; body: unknown; alone: boolean },
): Promise<void> {
  const valid = (await holds(clients, lease)) || (kind === "result" && clients.accepted.has(lease));
  const answer = await report(clients.fleet, { ...lease, kind, body });
  if (answer.status !== 200)
    expect(answer).toMatchObject({ status: 409, body: { code: "stale-attempt" } });
  if (alone) expect(answer.status).toBe(valid ? 200 : 409);
  if (kind === "result") clients[answer.status === 200 ? "accepted" : "refused"].add(lease);
}

/** An agent has one result for an attempt, however often it tells it. */
function tellResult(
  clients: Clients,
  {
    lease,
    outcome: ended,
    changes = 1,
    alone,
  }: { lease: Lease; outcome: Result["outcome"]; changes?: number; alone: boolean },
): Promise<void> {
  lease.result ??= testResult({ outcome: ended, changes, message: randomUUID() });
  return tell(clients, { lease, kind: "result", body: lease.result, alone });
}

/** A trigger whose pull works at once: it gives the FTP hosts something to do. */
async function pull(clients: Clients, name: string): Promise<void> {
  await trigger(clients, name);
  await poll(clients, { host: "master", repeated: false, alone: false });
  const { lease } = clients.polls.get("master")!;
  if (lease) await tellResult(clients, { lease, outcome: "ok", alone: false });
}

/** Every lease runs out, the loop that takes them back comes by, and the back-off passes. */
async function expire({ fleet }: Clients): Promise<void> {
  fleet.clock.offsetSeconds += 121;
  await reclaimExpired(fleet.ctx);
  fleet.clock.offsetSeconds += 10;
}

/** An agent tells its result when its lease has run out, and the next attempt may have begun. */
async function outlive(
  clients: Clients,
  { back: index, alone }: { back: number; alone: boolean },
): Promise<void> {
  const lease = recent(
    clients.leases.filter(({ result }) => result === null),
    index,
  );
  if (!lease) return;
  await expire(clients);
  await poll(clients, { host: lease.host, repeated: false, alone: false });
  await tellResult(clients, { lease, outcome: "ok", alone });
}

/** Does one thing and judges its answer; `alone`: nothing else happens meanwhile. */
export async function perform(
  clients: Clients,
  { action: what, alone }: { action: Action; alone: boolean },
): Promise<void> {
  const { leases, runs } = clients;
  const lease = "back" in what ? recent(leases, what.back) : undefined;
  switch (what.do) {
    case "trigger":
      return trigger(clients, what.project);
    case "pull":
      return pull(clients, what.project);
    case "poll":
      return poll(clients, { ...what, alone });
    case "heartbeat":
      if (lease) await tell(clients, { lease, kind: "heartbeat", body: { progress: null }, alone });
      return;
    case "result": {
      const untold = leases.filter(({ result }) => result === null);
      const one = recent(what.again ? leases : untold, what.back);
      return one && tellResult(clients, { ...what, lease: one, alone });
    }
    case "expire":
      return expire(clients);
    case "outlive":
      return outlive(clients, { ...what, alone });
    case "cancelTask":
      if (lease) await operate(clients, `/v1/tasks/${lease.taskId}/cancel`);
      return;
    case "cancelRun":
    case "retry": {
      const id = recent(runs, what.back);
      const verb = what.do === "retry" ? "retry" : "cancel";
      if (id) await operate(clients, `/v1/runs/${id}/${verb}`);
      return;
    }
    case "pauseProject":
      await operate(clients, `/v1/projects/${what.project}/${what.stop ? "pause" : "resume"}`);
      return;
    case "pauseReplica": {
      const replica = `/v1/projects/${what.project}/replicas/${what.host}`;
      await operate(clients, `${replica}/${what.stop ? "pause" : "resume"}`);
      return;
    }
    case "drain":
      await operate(clients, `/v1/hosts/${what.host}/${what.stop ? "drain" : "resume"}`);
      return;
    case "emergency":
      await operate(clients, "/v1/settings/pause", { reason: "test", cancelRunning: true });
      await operate(clients, "/v1/settings/resume");
  }
}

/** Lets everything go on, triggers each project a last time, and works until nothing is left to do. */
export async function comeToRest(clients: Clients): Promise<void> {
  for (const name of hosts) await operate(clients, `/v1/hosts/${name}/resume`);
  for (const name of projects) {
    await operate(clients, `/v1/projects/${name}/resume`);
    for (const each of hosts)
      await operate(clients, `/v1/projects/${name}/replicas/${each}/resume`);
    await trigger(clients, name);
  }
  for (let idle = 0, rounds = 0; idle < 2; rounds++) {
    expect(rounds).toBeLessThan(40);
    // What was in back-off may begin; what nobody told of is taken back.
    clients.fleet.clock.offsetSeconds += 3600;
    await reclaimExpired(clients.fleet.ctx);
    const known = clients.leases.length;
    for (const name of hosts) {
      await poll(clients, { host: name, repeated: false, alone: true });
      const lease = clients.polls.get(name)!.lease;
      if (!lease) continue;
      await tellResult(clients, { lease, outcome: "ok", alone: true });
    }
    idle = clients.leases.length === known ? idle + 1 : 0;
  }
}

/** Results that were answered otherwise than they are kept. */
export async function findLostResults({ sql, accepted, refused }: Clients): Promise<string[]> {
  const rows =
    await sql`select task_id, attempt, state, result ->> 'message' as message from attempts`;
  const kept = new Map(rows.map((row) => [`${row["task_id"]} ${row["attempt"]}`, row]));
  const wrong = (leases: Set<Lease>, what: string, fits: (state: string) => boolean) =>
    [...leases].flatMap(({ taskId, attempt, result }) => {
      const row = kept.get(`${taskId} ${attempt}`);
      return row && row["message"] === result?.message && fits(row["state"])
        ? []
        : [
            `${what} of attempt ${attempt} of ${taskId} is not kept: ${JSON.stringify(row ?? null)}`,
          ];
    });
  return [
    ...wrong(accepted, "the accepted result", (state) => !/running|superseded/.test(state)),
    ...wrong(refused, "the refused result", (state) => state === "superseded"),
  ];
}
