import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { check } from "./check.ts";
import { collect, noteExchange } from "./collect.ts";
import { collectEnds } from "./ends.ts";
import { inject } from "./faults.ts";
import { type Fleet, startFleet } from "./fleet.ts";
import { emptyHistory, type History, now, type Violation } from "./history.ts";
import { makeTrees, projects, putUnderLoad } from "./load.ts";
import { prepareMachine } from "./machine.ts";
import { describeFault, type Fault, planFaults } from "./plan.ts";
import type { Sabotage } from "./programs.ts";
import { compareCurrent, finalSync, heal, schedule, settle, unschedule } from "./quiet.ts";
import { createRandom } from "./random.ts";

/** How long a fleet may take to come to rest: the longest back-off of an agent, and its retries. */
const settleSeconds = 240;

export type ChaosOptions = {
  seed: number;
  seconds: number;
  controlPlanes: number;
  ftpHosts: number;
  sabotage: Sabotage | null;
  /** Leave the directory with logs and history. */
  keep: boolean;
};

async function injectAll(
  fleet: Fleet,
  { faults, history }: { faults: Fault[]; history: History },
): Promise<void> {
  const began = now();
  const injected: Promise<void>[] = [];
  for (const fault of faults) {
    await sleep(Math.max(0, began + fault.at - now()));
    history.faults.push({ at: now(), what: describeFault(fault).slice(10) });
    injected.push(
      inject(fleet, fault).catch((error: unknown) => {
        history.faults.push({ at: now(), what: `could not: ${String(error)}` });
      }),
    );
  }
  await Promise.all(injected);
}

/** Load and faults, then quiet; fills the history. */
async function disturb(
  fleet: Fleet,
  {
    options,
    faults,
    history,
    print,
  }: {
    options: ChaosOptions;
    faults: Fault[];
    history: History;
    print: (line: string) => void;
  },
): Promise<void> {
  makeTrees(createRandom(options.seed + 1), fleet.upstream);
  for (const { name, overlap, bandwidthKiBps } of projects)
    await fleet.client.createProject({
      name,
      upstream: `${fleet.upstream.url}${name}/`,
      overlap,
      rsync: { bandwidthKiBps },
      maxDeletePercent: 100,
      maxAttempts: 5,
      retrySeconds: 1,
      stallSeconds: 10,
    });
  await schedule(fleet, { history });
  const rest = new AbortController();
  const load = putUnderLoad(fleet, {
    random: createRandom(options.seed + 2),
    history,
    signal: rest.signal,
  });
  await Promise.all([injectAll(fleet, { faults, history }), sleep(options.seconds * 1000)]);
  rest.abort();
  await heal(fleet);
  await load;
  print("faults are over; waiting for quiet");
  await unschedule(fleet, { history });
  if (await settle(fleet, { seconds: settleSeconds })) {
    await compareCurrent(fleet, { history });
    await finalSync(fleet, { history });
    await settle(fleet, { seconds: settleSeconds });
  }
  await collect(fleet, { history });
}

const namesOf = ({ ftpHosts }: ChaosOptions) =>
  Array.from({ length: ftpHosts }, (_, index) => `ftp${index + 1}`);

/** Prepares the machine, and leaves out of the planned faults what it has not. */
async function prepare(
  ctx: Parameters<typeof prepareMachine>[0] & { print: (line: string) => void },
  { options, directory }: { options: ChaosOptions; directory: string },
) {
  const ftpHosts = namesOf(options);
  // The first, the third …: the others are where the master is.
  const apart = ftpHosts.filter((_, index) => index % 2 === 0);
  const hostNames = ["master", ...ftpHosts];
  const machine = await prepareMachine(ctx, { directory, hosts: { all: hostNames, apart } });
  for (const { kinds, why } of machine.leftOut) ctx.print(`left out: ${kinds.join(", ")} (${why})`);
  for (const [host, { namespace, address }] of machine.network?.places ?? [])
    ctx.print(`${host} is in network namespace ${namespace}, at ${address}`);
  const leftOut = new Set(machine.leftOut.flatMap(({ kinds }) => kinds));
  // Planned without a look at the machine: a seed's other faults are the same everywhere.
  const planned = planFaults(options);
  return { machine, hostNames, faults: planned.filter(({ kind }) => !leftOut.has(kind)) };
}

/** One run: a fleet, its faults, its history, and what is wrong with that. */
export async function runChaos(
  options: ChaosOptions,
  { print, signal }: { print: (line: string) => void; signal: AbortSignal },
): Promise<{ history: History; violations: Violation[]; faults: Fault[] }> {
  const history = emptyHistory();
  const directory = await mkdtemp(join(tmpdir(), "mirrorfleet-chaos-"));
  // Others may pass: the database runs as another user where root starts it.
  await chmod(directory, 0o755);
  const ends = collectEnds();
  const interrupted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });
  interrupted.catch(() => undefined);
  let starting: Promise<unknown> = Promise.resolve();
  try {
    const { machine, hostNames, faults } = await prepare(
      { keep: options.keep, onEnd: ends.add, print },
      { options, directory },
    );
    signal.throwIfAborted();
    const work = async () => {
      const started = startFleet(
        {
          directory,
          machine,
          signal,
          random: createRandom(options.seed + 3),
          sabotage: options.sabotage,
          note: (what) => history.faults.push({ at: now(), what }),
          record: (host, exchange) => noteExchange(history, { host, exchange }),
          onEnd: ends.add,
        },
        { controlPlanes: options.controlPlanes, hostNames },
      );
      starting = started.catch(() => undefined);
      const fleet = await started;
      print(`the fleet is up; ${faults.length} faults begin`);
      await disturb(fleet, { options, faults, history, print });
    };
    await Promise.race([work(), interrupted]);
    return { history, violations: check(history), faults };
  } finally {
    // What is being started comes into being: only then can it be taken away.
    await starting;
    await ends.run();
    if (options.keep) {
      await writeFile(join(directory, "history.json"), JSON.stringify(history, null, 1));
      print(`logs and history are in ${directory}`);
    } else await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
