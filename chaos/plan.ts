import { createRandom, type Random } from "./random.ts";

const kinds = [
  "kill-control-plane",
  "freeze-control-plane",
  "kill-agent",
  "kill-agent",
  "freeze-agent",
  "kill-rsync",
  "hang-rsync",
  "kill-daemon",
  "kill-upstream",
  "kill-backend",
  "kill-postgres",
  "lose-leases",
  "lose-leases",
  "kill-rsync",
  "host-hole",
  "host-deaf",
  "host-reset",
  "host-slow",
  "operators-deaf",
  "database-hole",
  "database-cut",
  "database-slow",
  "upstream-hole",
  "upstream-cut",
  "clock-of-agent",
  "clock-of-control-plane",
] as const;

/** Those that a machine may not have; see machine.ts. */
const rareKinds = ["fill-disk", "cut-link", "black-hole", "slow-link"] as const;

export type Fault = {
  /** Milliseconds after the load began. */
  at: number;
  kind: (typeof kinds)[number] | (typeof rareKinds)[number];
  /** Of those there are; taken modulo their number. */
  target: number;
  seconds: number;
  /** Of a clock. */
  jumpSeconds: number;
};

/** Milliseconds between two faults, on average. */
const meanGaps = { usual: 1500, rare: 5000 };

function plan(
  random: Random,
  {
    seconds,
    kinds,
    meanGap,
  }: { seconds: number; kinds: readonly Fault["kind"][]; meanGap: number },
): Fault[] {
  const faults: Fault[] = [];
  // Each kind comes before any comes twice: a short run has seen most of them.
  let bag: Fault["kind"][] = [];
  for (
    let at = random.between(0, meanGap);
    at < seconds * 1000;
    at += random.between(0, 2 * meanGap)
  ) {
    if (bag.length === 0) bag = [...kinds];
    const kind = random.pick(bag);
    bag.splice(bag.indexOf(kind), 1);
    const long = random.next() < 0.2;
    faults.push({
      at: Math.round(at),
      kind,
      target: Math.floor(random.between(0, 1000)),
      seconds: Math.round(random.between(0.2, long ? 18 : 4) * 10) / 10,
      jumpSeconds: Math.round(random.between(5, 7200) * (random.next() < 0.5 ? -1 : 1)),
    });
  }
  return faults;
}

/** The faults of a run, from its seed alone: those that a machine may not have change nothing of the others. */
export const planFaults = ({ seed, seconds }: { seed: number; seconds: number }): Fault[] =>
  [
    ...plan(createRandom(seed), { seconds, kinds, meanGap: meanGaps.usual }),
    ...plan(createRandom(seed + 4), { seconds, kinds: rareKinds, meanGap: meanGaps.rare }),
  ].toSorted((left, right) => left.at - right.at);

export const describeFault = ({ at, kind, target, seconds, jumpSeconds }: Fault): string =>
  `${(at / 1000).toFixed(1).padStart(6)} s  ${kind} ${target} for ${seconds} s${kind.startsWith("clock") ? ` by ${jumpSeconds} s` : ""}`;
