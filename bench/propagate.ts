import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Place } from "../demo/fleet.ts";
import { hopsOf, startFleet } from "./fleet.ts";

const percentile = (sorted: number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;

/** Prints how long after the master's pull the last of the hosts is in sync, one changed file at a time. */
export async function propagate(
  place: Place,
  { hosts, rounds }: { hosts: number; rounds: number },
): Promise<void> {
  const tree = join(place.directory, "upstream");
  await mkdir(tree);
  for (let index = 0; index < 100; index++) await writeFile(join(tree, `file-${index}`), "first");
  const fleet = await startFleet(place, { tree, hosts });
  await fleet.sync();
  const last: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await writeFile(join(tree, `file-${round % 100}`), `round ${round}`);
    last.push(Math.max(...hopsOf(await fleet.sync())));
  }
  const sorted = last.toSorted((left, right) => left - right);
  const figure = (share: number) => percentile(sorted, share).toFixed(3);
  process.stdout.write(
    `${hosts} hosts, ${rounds} syncs of one changed file: p50 ${figure(0.5)} s, p99 ${figure(0.99)} s\n`,
  );
}
