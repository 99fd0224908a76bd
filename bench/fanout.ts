import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { compareTrees } from "../demo/compare.ts";
import { type Place, startUpstream } from "../demo/fleet.ts";
import type { Program } from "../demo/processes.ts";
import type { RunDetail } from "../protocol/run.ts";
import { childrenOf, cpuSeconds, peakMegabytes, print, row, timed } from "./figures.ts";
import { hopsOf, startFleet } from "./fleet.ts";
import { bareList, ftpsync, isInstalled, rsync, startLsyncd, untilCarried } from "./peers.ts";
import { changePool, makePool } from "./tree.ts";

type Changes = ReturnType<typeof changePool>;

const bytesOf = (run: RunDetail) =>
  run.tasks
    .filter(({ role }) => role === "ftp")
    .reduce(
      (sum, { result }) =>
        sum + (result?.stats?.sentBytes ?? 0) + (result?.stats?.receivedBytes ?? 0),
      0,
    );

/** Seconds that the slowest host's sync took. */
const slowestOf = (run: RunDetail) =>
  Math.max(...run.tasks.filter(({ role }) => role === "ftp").map(({ result }) => result!.seconds));

async function verify({ expected, actual }: { expected: string; actual: string[] }): Promise<void> {
  for (const tree of actual) {
    const { differences } = await compareTrees({ expected, actual: tree });
    if (differences.length > 0) throw new Error(`${tree} differs: ${differences.join("; ")}`);
  }
}

/** Copies of the master's tree that other tools keep, from a daemon of their own. */
async function startPeers(place: Place & { programs: Program[] }, { master }: { master: string }) {
  const directory = join(place.directory, "peers");
  await mkdir(directory);
  const source = await startUpstream({ ...place, directory }, { tree: master });
  const daemon = place.programs.findLast(({ name }) => name === "upstream")!.child.pid!;
  const treeOf = (name: string) => join(directory, name);
  const [scanned, listed, ftpsynced, watched] = ["scanned", "listed", "ftpsync", "lsyncd"].map(
    treeOf,
  ) as [string, string, string, string];
  const scan = (tree = scanned) =>
    timed([process.pid], () => rsync(["-aH", "--delete", source, tree]));
  const list = async (changes: Changes) => {
    const before = cpuSeconds([daemon]);
    const figures = await timed([process.pid], () =>
      bareList({ ...changes, source, tree: listed, directory }),
    );
    return { ...figures, daemonCpu: cpuSeconds([daemon]) - before };
  };
  const full = [await scan(), await scan(listed)].map(({ wall }) => wall);
  const hasLsyncd = isInstalled("lsyncd");
  if (hasLsyncd) {
    await rsync(["-aH", `${listed}/`, watched]);
    place.track(await startLsyncd({ watched: listed, tree: watched, directory }));
  }
  /** Seconds until lsyncd has brought what was just done to the tree that it watches. */
  const lsyncd = async (changes: Changes) => {
    if (!hasLsyncd) return "-";
    const carried = () => untilCarried({ ...changes, from: listed, to: watched }).then(() => 0);
    return (await timed([], carried)).wall;
  };
  const hasFtpsync = isInstalled("ftpsync");
  if (hasFtpsync) await rsync(["-aH", source, ftpsynced]);
  const sync = () => ftpsync({ source, tree: ftpsynced, directory }).then(() => 0);
  const runFtpsync = async () => (hasFtpsync ? (await timed([], sync)).wall : "-");
  return { scan, list, lsyncd, runFtpsync, full: Math.min(...full), trees: [scanned, listed] };
}

const heading = [
  "changes",
  "s",
  "host cpu",
  "daemon cpu",
  "bytes",
  "| scan s",
  "cpu",
  "bytes",
  "| list s",
  "cpu",
  "daemon cpu",
  "| ftpsync s",
  "lsyncd s",
  "| scan/ours",
  "ours/list",
  "bytes",
  "daemon",
  "agent MB",
];

/**
 * Prints, for each number of changes, what it costs to bring the hosts up to date: through the product,
 * from the end of the master's pull to the last host's end; with one bare rsync of the whole tree, or of
 * a list that is at hand; with Debian's ftpsync and with lsyncd, where they are installed. The ratios are
 * of one scan to ours, ours to one bare list, bytes of as many scans to ours, and the daemon's work for
 * our hosts to that for as many bare lists.
 */
export async function fanout(
  place: Place & { programs: Program[] },
  { files, changes, hosts: count }: { files: number; changes: number[]; hosts: number },
): Promise<void> {
  const { directory, programs } = place;
  const tree = join(directory, "upstream");
  await mkdir(tree);
  print(`\n${files} files, ${count} hosts`);
  makePool(tree, { files });
  const { sync, hosts, treeOf } = await startFleet(place, { tree, hosts: count });
  const inOnePass = slowestOf(await sync("plain"));
  for (const host of ["master", ...hosts])
    await rm(treeOf(host, "plain"), { recursive: true, force: true });
  const first = slowestOf(await sync());
  const peers = await startPeers(place, { master: treeOf("master") });
  print(
    `first sync of all files, on the slowest host: ${inOnePass.toFixed(1)} s, with indexes last ${first.toFixed(1)} s; bare rsync alone ${peers.full.toFixed(1)} s`,
  );
  row(heading);
  const pidOf = (host: string) => programs.find(({ name }) => name === host)!.child.pid!;
  const agents = hosts.map(pidOf);
  const daemon = childrenOf(pidOf("master"));
  for (const [round, k] of changes.entries()) {
    const made = changePool(tree, { files, count: k, round: round + 1 });
    const runs: RunDetail[] = [];
    const daemonBefore = cpuSeconds(daemon);
    const ours = await timed(agents, async () => {
      runs.push(await sync());
      return bytesOf(runs[0]!);
    });
    const daemonCpu = cpuSeconds(daemon) - daemonBefore;
    // Without a change no host hears of it.
    const wall = Math.max(0, ...hopsOf(runs[0]!));
    const scan = await peers.scan();
    const list = await peers.list(made);
    const lsyncdSeconds = await peers.lsyncd(made);
    const ftpsyncSeconds = await peers.runFtpsync();
    await verify({
      expected: tree,
      actual: [...hosts.map((host) => treeOf(host)), ...peers.trees],
    });
    row([
      String(k),
      wall,
      ours.cpu,
      daemonCpu,
      String(ours.bytes),
      scan.wall,
      scan.cpu,
      String(scan.bytes),
      list.wall,
      list.cpu,
      list.daemonCpu,
      ftpsyncSeconds,
      lsyncdSeconds,
      wall === 0 ? "-" : scan.wall / wall,
      wall === 0 ? "-" : wall / list.wall,
      ours.bytes === 0 ? "-" : (scan.bytes * count) / ours.bytes,
      wall === 0 || list.daemonCpu === 0 ? "-" : daemonCpu / (count * list.daemonCpu),
      Math.max(...agents.map(peakMegabytes)),
    ]);
  }
}
