import { stopPrograms } from "../demo/processes.ts";
import { clock, percentile, print, printMachine, printTable } from "./figures.ts";
import type { BenchPlace } from "./fleet.ts";
import type { Contender } from "./contender.ts";
import { type BenchDatabase, startDatabase } from "./database.ts";
import { openOurs } from "./ours.ts";
import { openPeers } from "./peers/open.ts";
import type { Workers } from "./workers.ts";

/** Requests that enqueue at the same time, for everybody. */
const enqueuers = 20;

/** Milliseconds from the call that enqueues until an agent has the task, one task at a time. */
async function latencies(
  contender: Contender,
  { workers, rounds }: { workers: Workers; rounds: number },
): Promise<number[]> {
  const found: number[] = [];
  const warmUp = 20;
  for (let round = 0; round < warmUp + rounds; round++) {
    workers.expect(1);
    const [got, done] = [workers.next("got"), workers.next("done")];
    const started = clock();
    await contender.one(round);
    const at = await got;
    await done;
    if (round >= warmUp) found.push(at - started);
  }
  return found;
}

/** Full lives per second, of tasks that are enqueued one by one. */
async function livesOneByOne(
  contender: Contender,
  { workers, tasks }: { workers: Workers; tasks: number },
): Promise<number> {
  workers.expect(tasks);
  const done = workers.next("done");
  const started = clock();
  let next = 0;
  await Promise.all(
    Array.from({ length: enqueuers }, async () => {
      while (next < tasks) await contender.one(next++);
    }),
  );
  return (tasks / ((await done) - started)) * 1000;
}

/** Full lives per second, of tasks that come all at once. */
async function livesAtOnce(
  contender: Contender,
  { workers, tasks, rounds }: { workers: Workers; tasks: number; rounds: number },
): Promise<number> {
  let spent = 0;
  for (let round = 0; round < rounds; round++) {
    workers.expect(tasks);
    const done = workers.next("done");
    const started = clock();
    await contender.batch(tasks);
    spent += (await done) - started;
  }
  return ((tasks * rounds) / spent) * 1000;
}

type Figures = {
  latency: Map<number, number[]>;
  oneByOne: number;
  /** Statements in the database for one of these lives; busy machines change this least. */
  statements: number;
  atOnce: number;
};

async function measure(
  contender: Contender,
  {
    database,
    agents,
    rounds,
    tasks,
  }: { database: BenchDatabase; agents: number[]; rounds: number; tasks: number },
): Promise<Figures> {
  const latency = new Map<number, number[]>();
  let [oneByOne, atOnce, statements] = [0, 0, 0];
  for (const count of agents) {
    print(`${contender.name}, ${count} waiting`);
    const workers = await contender.start(count);
    latency.set(count, await latencies(contender, { workers, rounds }));
    if (count === 100) {
      const before = await database.statements();
      oneByOne = await livesOneByOne(contender, { workers, tasks });
      statements = ((await database.statements()) - before) / tasks;
    }
    if (count === agents.at(-1))
      atOnce = await livesAtOnce(contender, { workers, tasks: count, rounds: 3 });
    await workers.stop();
  }
  const p50 = [...latency.values()].map((found) => percentile(found, 0.5).toFixed(1)).join(", ");
  print(
    `${contender.name}: p50 ${p50} ms; ${oneByOne.toFixed(0)} and ${atOnce.toFixed(0)} lives/s, ${statements.toFixed(1)} statements a life`,
  );
  return { latency, oneByOne, statements, atOnce };
}

/**
 * Prints full lives of tasks per second, and how long a task takes to an agent that waits, beside two
 * queues on the same Postgres. Ours go over HTTP, signed and fenced, to the host that they are for.
 */
export async function dispatch(
  place: BenchPlace,
  { agents, rounds, tasks }: { agents: number[]; rounds: number; tasks: number },
): Promise<void> {
  printMachine();
  const database = await startDatabase(place);
  const closers = [database.stop];
  try {
    const most = agents.at(-1)!;
    const ours = await openOurs(place, { database, hosts: most, projects: tasks });
    const { contenders, close } = await openPeers(place, { database });
    closers.push(close);
    const measured = new Map<string, Figures>();
    for (const contender of [ours, ...contenders]) {
      measured.set(contender.name, await measure(contender, { database, agents, rounds, tasks }));
    }
    const own = measured.get(ours.name)!;
    const ratio = (value: number) => `${value.toFixed(2)}×`;
    print(`\nenqueue → an agent has it, ms, ${rounds} tasks one after another`);
    printTable({
      head: ["", ...agents.flatMap((count) => [`${count} waiting: p50`, "p99", "p50 / ours"])],
      rows: [...measured].map(([name, { latency }]) =>
        [name as string | number].concat(
          agents.flatMap((count) => {
            const p50 = percentile(latency.get(count)!, 0.5);
            const ourP50 = percentile(own.latency.get(count)!, 0.5);
            return [p50, percentile(latency.get(count)!, 0.99), ratio(p50 / ourP50)];
          }),
        ),
      ),
    });
    print(`\nfull lives per second (enqueue, lease, heartbeat, result)`);
    printTable({
      head: [
        "",
        `${tasks} one by one, 100 agents`,
        "ours / theirs",
        "statements a life",
        `${most} at once, ${most} agents`,
        "ours / theirs",
      ],
      rows: [...measured].map(([name, { oneByOne, statements, atOnce }]) => [
        name,
        oneByOne,
        ratio(own.oneByOne / oneByOne),
        statements,
        atOnce,
        ratio(own.atOnce / atOnce),
      ]),
    });
  } finally {
    while (place.programs.length > 0) await stopPrograms(place.programs.splice(-1));
    for (const close of closers.toReversed()) await close();
  }
}
