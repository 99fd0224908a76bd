import { randomBytes } from "node:crypto";
import { appendFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Program } from "../demo/processes.ts";
import type { RunDetail } from "../protocol/run.ts";
import { cpuSeconds, machineCpuSeconds, percentile, print, printTable } from "./figures.ts";
import { type BenchPlace, hopsOf, startFleet } from "./fleet.ts";

const files = 8;
const largeRounds = 3;
const transports = ["yes", "no"] as const;

type Large = { wall: number; master: number; host: number };

async function makeTree(tree: string, { megabytes }: { megabytes: number }): Promise<void> {
  await mkdir(tree);
  for (let index = 0; index < files; index++)
    for (let part = 0; part < megabytes / files; part += 16)
      await appendFile(join(tree, `large-${index}`), randomBytes(16 * 1024 * 1024));
}

/** A fleet in a directory of its own; pulls into an empty tree, and carries changes. */
async function startOne(place: BenchPlace, { tree, tls }: { tree: string; tls: "yes" | "no" }) {
  const directory = join(place.directory, `tls-${tls}`);
  await mkdir(directory);
  const own: Program[] = [];
  const track = (program: Program) => {
    own.push(program);
    place.track(program);
  };
  const fleet = await startFleet({ directory, track }, { tree, hosts: 1, tls });
  const first: RunDetail = await fleet.sync("plain");
  if (first.state !== "succeeded") throw new Error("the first sync did not succeed");
  const master = own.find(({ name }) => name === "master")!.child.pid!;
  /** The host's part is what the machine did beside the master: nothing else is at work. */
  const pullAll = async (): Promise<Large> => {
    await rm(fleet.treeOf("ftp1", "plain"), { recursive: true });
    const [masterBefore, machineBefore] = [cpuSeconds([master]), machineCpuSeconds()];
    const { tasks } = await fleet.resync("plain", "ftp1");
    const ofMaster = cpuSeconds([master]) - masterBefore;
    const host = machineCpuSeconds() - machineBefore - ofMaster;
    return { wall: tasks.at(-1)!.result!.seconds, master: ofMaster, host };
  };
  const carry = async () => hopsOf(await fleet.sync("plain"))[0]!;
  return { tls, pullAll, carry, large: [] as Large[], hops: [] as number[] };
}

type One = Awaited<ReturnType<typeof startOne>>;

/** Prints what the same syncs cost an FTP host and its master by TLS and by plain rsync. */
export async function tls(
  place: BenchPlace,
  { megabytes, rounds }: { megabytes: number; rounds: number },
): Promise<void> {
  const tree = join(place.directory, "upstream");
  await makeTree(tree, { megabytes });
  const fleets: One[] = [];
  for (const transport of transports) fleets.push(await startOne(place, { tree, tls: transport }));
  for (let round = 0; round < largeRounds; round++)
    for (const fleet of fleets) fleet.large.push(await fleet.pullAll());
  for (let round = 0; round < rounds; round++) {
    await writeFile(join(tree, "small"), `round ${round}`);
    for (const fleet of round % 2 === 0 ? fleets : fleets.toReversed())
      fleet.hops.push(await fleet.carry());
  }
  const ratio = (name: string, pick: (fleet: One) => number[]): (string | number)[] => {
    const [byTls, plain] = fleets.map((fleet) => percentile(pick(fleet), 0.5)) as [number, number];
    return [name, byTls, plain, byTls / plain];
  };
  print(`medians of ${largeRounds} pulls of ${megabytes} MB, and of ${rounds} syncs of one file`);
  printTable({
    head: ["", "TLS", "plain", "TLS ÷ plain"],
    rows: [
      ratio(`${megabytes} MB, s`, ({ large }) => large.map(({ wall }) => wall)),
      ratio("CPU of the master, s", ({ large }) => large.map(({ master }) => master)),
      ratio("CPU of the host, s", ({ large }) => large.map(({ host }) => host)),
      ratio("one changed file, s", ({ hops }) => hops),
    ],
  });
}
