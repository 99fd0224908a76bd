import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import { startControlPlane } from "../demo/fleet.ts";
import { stopPrograms } from "../demo/processes.ts";
import { enrolHosts } from "./agents/fleet.ts";
import { type BenchDatabase, startDatabase } from "./database.ts";
import { clock, percentile, print, printMachine, printTable, usageOf } from "./figures.ts";
import type { BenchPlace } from "./fleet.ts";
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

/** Resident memory, in bytes, that each request takes which is parked on a bare node:http server. */
async function bareBytes(place: BenchPlace, { agents }: { agents: number }): Promise<number> {
  const server = await startWorkers(place, { file: "agents/bare-server.ts", input: {} });
  const before = usageOf(server.pid).resident;
  const count = Math.ceil(agents / processes);
  const parked = await Promise.all(
    Array.from({ length: processes }, () =>
      startWorkers(place, { file: "agents/park.ts", input: { port: server.port, count } }),
    ),
  );
  const after = usageOf(server.pid).resident;
  for (const each of [...parked, server]) await each.stop();
  return (after - before) / agents;
}

type Answers = { of: (hostIds: string[]) => Promise<number> };

/** Tells when hosts' polls are answered. */
function answersOf(workers: Workers[]): Answers {
  let missing = new Set<string>();
  let last: PromiseWithResolvers<number> | undefined;
  for (const each of workers)
    each.onAnswer(({ host, at }) => {
      if (missing.delete(host) && missing.size === 0) last?.resolve(at);
    });
  return {
    of: (hostIds) => {
      missing = new Set(hostIds);
      last = Promise.withResolvers<number>();
      return last.promise;
    },
  };
}

async function untilParked({ settings }: BenchDatabase, { agents }: { agents: number }) {
  const sql = postgres({ ...settings("mirrorfleet"), max: 1 });
  for (;;) {
    const [row] = await sql<
      { seen: number }[]
    >`select count(*)::int seen from hosts where last_seen_at is not null`;
    if (row!.seen >= agents) break;
    await sleep(500);
  }
  await sql.end();
  await sleep(3000);
}

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
  for (let round = 0; round < rounds; round++)
    one.push(await wake([ids[Math.floor(Math.random() * ids.length)]!]));
  const all = await wake(ids);
  await sql.end();
  return { one, all };
}

/** Prints what agents cost that wait on one replica: memory, CPU, statements; and how long they take to wake. */
export async function idle(
  place: BenchPlace,
  { agents, rounds }: { agents: number; rounds: number },
): Promise<void> {
  printMachine();
  const bare = await bareBytes(place, { agents });
  const database = await startDatabase(place);
  try {
    const { url, program } = await startControlPlane(place, {
      DATABASE_URL: database.url("mirrorfleet"),
    });
    const { identity, hosts } = await enrolHosts(database, {
      names: Array.from({ length: agents }, (_, index) => `ftp${index}`),
      master: false,
    });
    const { hostname, port } = new URL(url);
    const fleet = { host: hostname, port: Number(port), identity };
    const before = usageOf(program.child.pid!);
    const share = Math.ceil(agents / processes);
    const workers = await Promise.all(
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
    await untilParked(database, { agents });
    const roundTrips = await notifyRoundTrips(database, { rounds });
    const [quiet, statements] = [usageOf(program.child.pid!), await database.statements()];
    await sleep(quietSeconds * 1000);
    const [later, more] = [usageOf(program.child.pid!), await database.statements()];
    const ours = (later.resident - before.resident) / agents;
    const answers = answersOf(workers);
    const woken = await wakeUps(database, { ids: hosts.map(({ id }) => id), answers, rounds });
    const perSecond = (more - statements) / quietSeconds;
    print(`${agents} agents wait on one replica`);
    printTable({
      head: ["", "measured", "beside", "ratio or difference"],
      rows: [
        ["memory an agent, kB | bare node:http", ours / 1024, bare / 1024, (ours - bare) / 1024],
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
