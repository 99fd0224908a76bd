import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import { startControlPlane } from "../demo/fleet.ts";
import { stopPrograms } from "../demo/processes.ts";
import type { Fleet, Host } from "./agents/agent.ts";
import { enrolHosts } from "./agents/fleet.ts";
import { type BenchDatabase, startDatabase } from "./database.ts";
import { clock, percentile, print, printMachine, printTable, usageOf } from "./figures.ts";
import type { BenchPlace } from "./fleet.ts";
import { type Memory, memoryProbe } from "./memory.ts";
import { startWorkers, type Workers } from "./workers.ts";

/** Processes that the agents are spread over. */
const processes = 2;
const quietSeconds = 20;

/** Milliseconds from a NOTIFY to its arrival at a process that does nothing else. */
async function notifyRoundTrips({ settings }: BenchDatabase, { rounds }: { rounds: number }) {
  const options = { ...settings("mirrorfleet"), max: 1 };
  const [listener, sender] = [postgres(options), postgres(options)];
  let heard: PromiseWithResolvers<number> | undefined;
  await listener.listen("bench", () => heard?.resolve(clock()));
  const found: number[] = [];
  for (let round = 0; round < rounds; round++) {
    heard = Promise.withResolvers<number>();
    const started = clock();
    await sender.notify("bench", "x");
    found.push((await heard.promise) - started);
  }
  await Promise.all([listener.end(), sender.end()]);
  return found;
}

/**
 * The first tenth of them comes before memory is measured, so that what a program takes once (its code, the young
 * generation of its heap) does not count as theirs.
 */
const firstOf = (agents: number) => Math.ceil(agents / 10);

const perAgent = (before: Memory, after: Memory, { agents }: { agents: number }): Memory => {
  const counted = (agents - firstOf(agents)) * 1024;
  const of = (kind: keyof Memory) => (after[kind] - before[kind]) / counted;
  return { resident: of("resident"), collected: of("collected"), live: of("live") };
};

/** Memory, in kB, that each request takes which is parked on a bare node:http server. */
async function bareMemory(place: BenchPlace, { agents }: { agents: number }): Promise<Memory> {
  const probe = memoryProbe(place);
  const server = await startWorkers(place, {
    file: "agents/bare-server.ts",
    env: probe.env,
    input: {},
  });
  const parked: Workers[] = [];
  const park = async (count: number) => {
    const input = { port: server.port, count: Math.ceil(count / processes) };
    const started = Array.from({ length: processes }, () =>
      startWorkers(place, { file: "agents/park.ts", input }),
    );
    parked.push(...(await Promise.all(started)));
  };
  await park(firstOf(agents));
  const before = await probe.measure(server.pid);
  await park(agents - firstOf(agents));
  const after = await probe.measure(server.pid);
  for (const each of [...parked, server]) await each.stop();
  return perAgent(before, after, { agents });
}

/** Milliseconds after an answer within which an agent's next poll may be on its way: it looks for itself, and hears of nothing. */
const onItsWayMilliseconds = 2000;

type Answers = {
  of: (hostIds: string[]) => Promise<number>;
  /** Those whose polls are held. */
  held: (hostIds: string[]) => string[];
};

/** Tells when hosts' polls are answered. */
function answersOf(workers: Workers[]): Answers {
  const latest = new Map<string, number>();
  let missing = new Set<string>();
  let last: PromiseWithResolvers<number> | undefined;
  for (const each of workers)
    each.onAnswer(({ host, at }) => {
      latest.set(host, at);
      if (missing.delete(host) && missing.size === 0) last?.resolve(at);
    });
  return {
    of: (hostIds) => {
      missing = new Set(hostIds);
      last = Promise.withResolvers<number>();
      return last.promise;
    },
    held: (hostIds) =>
      hostIds.filter((id) => clock() - (latest.get(id) ?? 0) > onItsWayMilliseconds),
  };
}

/** Waits until so many polls are held; answers when the last of them had come to the database. */
async function untilParked({ settings }: BenchDatabase, { agents }: { agents: number }) {
  const sql = postgres({ ...settings("mirrorfleet"), max: 1 });
  for (;;) {
    const [row] = await sql<
      { seen: number }[]
    >`select count(*)::int seen from hosts where last_seen_at is not null`;
    if (row!.seen >= agents) break;
    await sleep(100);
  }
  const at = clock();
  await sql.end();
  await sleep(3000);
  return at;
}

const pick = (ids: string[]) => ids[Math.floor(Math.random() * ids.length)]!;

/** Milliseconds from the NOTIFY for hosts until the last of their agents has its answer. */
async function wakeUps(
  { settings }: BenchDatabase,
  { ids, answers, rounds }: { ids: string[]; answers: Answers; rounds: number },
) {
  const sql = postgres({ ...settings("mirrorfleet"), max: 1 });
  const wake = async (hostIds: string[]) => {
    const answered = answers.of(hostIds);
    const started = clock();
    await sql`select pg_notify('mirrorfleet_wake', id) from unnest(${hostIds}::text[]) id`;
    return (await answered) - started;
  };
  const one: number[] = [];
  while (one.length < rounds) {
    const held = answers.held(ids);
    if (held.length > 0) one.push(await wake([pick(held)]));
    else await sleep(100);
  }
  const all = await wake(answers.held(ids));
  await sql.end();
  return { one, all };
}

async function startAgents(
  place: BenchPlace,
  { fleet, hosts }: { fleet: Fleet; hosts: Host[] },
): Promise<Workers[]> {
  const share = Math.ceil(hosts.length / processes);
  return Promise.all(
    Array.from({ length: processes }, (_, index) =>
      startWorkers(place, {
        file: "agents/run.ts",
        input: {
          fleet,
          hosts: hosts.slice(index * share, (index + 1) * share),
          tellAnswers: true,
        },
      }),
    ),
  );
}

/** Prints what agents cost that wait on one replica: memory, CPU, statements; and how long they take to wake. */
export async function idle(
  place: BenchPlace,
  { agents, rounds }: { agents: number; rounds: number },
): Promise<void> {
  printMachine();
  const bare = await bareMemory(place, { agents });
  const probe = memoryProbe(place);
  const database = await startDatabase(place);
  try {
    const { url, program } = await startControlPlane(place, {
      DATABASE_URL: database.url("mirrorfleet"),
      ...probe.env,
    });
    const pid = program.child.pid!;
    const { identity, hosts } = await enrolHosts(database, {
      names: Array.from({ length: agents }, (_, index) => `ftp${index}`),
      master: false,
    });
    const { hostname, port } = new URL(url);
    const fleet = { host: hostname, port: Number(port), identity };
    const first = firstOf(agents);
    const workers = await startAgents(place, { fleet, hosts: hosts.slice(0, first) });
    await untilParked(database, { agents: first });
    const before = await probe.measure(pid);
    const started = clock();
    // All of these at once.
    workers.push(...(await startAgents(place, { fleet, hosts: hosts.slice(first) })));
    const answers = answersOf(workers);
    const connected = ((await untilParked(database, { agents })) - started) / 1000;
    const roundTrips = await notifyRoundTrips(database, { rounds });
    const [quiet, statements] = [usageOf(pid), await database.statements()];
    await sleep(quietSeconds * 1000);
    const [later, more] = [usageOf(pid), await database.statements()];
    const ours = perAgent(before, await probe.measure(pid), { agents });
    const woken = await wakeUps(database, { ids: hosts.map(({ id }) => id), answers, rounds });
    const perSecond = (more - statements) / quietSeconds;
    const beside = (own: number, other: number) => [own, other, own - other];
    print(`${agents} agents wait on one replica`);
    printTable({
      head: ["", "measured", "beside", "ratio or difference"],
      rows: [
        ["live memory an agent, kB | bare node:http", ...beside(ours.live, bare.live)],
        [
          "resident, without garbage and young generation, kB | bare",
          ...beside(ours.collected, bare.collected),
        ],
        ["resident, as it is, kB | bare", ...beside(ours.resident, bare.resident)],
        ["seconds until all have polled that come at once", connected, "", ""],
        ["CPU while nothing happens, %", ((later.cpu - quiet.cpu) / quietSeconds) * 100, "", ""],
        ["statements per second | per agent", perSecond, perSecond / agents, ""],
        ...[0.5, 0.99].map((part) => {
          const [own, notify] = [percentile(woken.one, part), percentile(roundTrips, part)];
          return [`wake one, p${part * 100}, ms | bare NOTIFY`, own, notify, own / notify];
        }),
        ["wake all, ms", woken.all, "", ""],
      ],
    });
  } finally {
    while (place.programs.length > 0) await stopPrograms(place.programs.splice(-1));
    await database.stop();
  }
}
