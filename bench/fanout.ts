import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { compareTrees } from "../demo/compare.ts";
import { type Place, startUpstream } from "../demo/fleet.ts";
import type { Program } from "../demo/processes.ts";
import type { RunDetail } from "../protocol/run.ts";
import { hopsOf, startFleet } from "./fleet.ts";
import { changePool, makePool } from "./tree.ts";

const ticksPerSecond = 100;
const print = (text: string) => process.stdout.write(`${text}\n`);

type Figures = { wall: number; cpu: number; bytes: number };

/** CPU seconds that processes and their children, ended or not, have used; from proc(5). */
function cpuSeconds(roots: number[]): number {
  const processes = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const text = readFileSync(`/proc/${name}/stat`, "utf8");
        const fields = text
          .slice(text.lastIndexOf(")") + 2)
          .split(" ")
          .map(Number);
        const ticks = fields[11]! + fields[12]! + fields[13]! + fields[14]!;
        return [{ pid: Number(name), parent: fields[1]!, ticks }];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
  const wanted = new Set(roots);
  for (let before = 0; before !== wanted.size;) {
    before = wanted.size;
    for (const { pid, parent } of processes) if (wanted.has(parent)) wanted.add(pid);
  }
  const ticks = processes.reduce((sum, each) => sum + (wanted.has(each.pid) ? each.ticks : 0), 0);
  return ticks / ticksPerSecond;
}

/** The rsync daemon of an agent, as its only child. */
function childrenOf(parent: number): number[] {
  const text = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}

async function timed(roots: number[], work: () => Promise<number>): Promise<Figures> {
  const own = () => {
    const { userCPUTime, systemCPUTime } = process.resourceUsage();
    return (userCPUTime + systemCPUTime) / 1e6;
  };
  const [cpuBefore, ownBefore, started] = [cpuSeconds(roots), own(), performance.now()];
  const bytes = await work();
  const wall = (performance.now() - started) / 1000;
  // This program's own work is not what is measured, where it is among the roots.
  const ownShare = roots.includes(process.pid) ? own() - ownBefore : 0;
  return { wall, cpu: cpuSeconds(roots) - cpuBefore - ownShare, bytes };
}

/** Runs a bare rsync; answers the bytes on the wire. */
async function rsync(args: string[]): Promise<number> {
  const { stdout } = await promisify(execFile)("rsync", [...args, "--stats"], {
    env: { ...process.env, LC_ALL: "C" },
    maxBuffer: 2 ** 28,
  });
  const count = (name: string) =>
    Number(new RegExp(`Total bytes ${name}: ([\\d,]+)`).exec(stdout)![1]!.replaceAll(",", ""));
  return count("sent") + count("received");
}

const bytesOf = (run: RunDetail) =>
  run.tasks
    .filter(({ role }) => role === "ftp")
    .reduce(
      (sum, { result }) =>
        sum + (result?.stats?.sentBytes ?? 0) + (result?.stats?.receivedBytes ?? 0),
      0,
    );

async function verify({ expected, actual }: { expected: string; actual: string[] }): Promise<void> {
  for (const tree of actual) {
    const { differences } = await compareTrees({ expected, actual: tree });
    if (differences.length > 0) throw new Error(`${tree} differs: ${differences.join("; ")}`);
  }
}

const row = (cells: (string | number)[]) =>
  print(
    cells
      .map((cell) =>
        (typeof cell === "number" ? cell.toFixed(cell < 10 ? 2 : 0) : cell).padStart(12),
      )
      .join(""),
  );

/**
 * Prints, for each number of changes, what it costs to bring the hosts up to date: through the product,
 * from the end of the master's pull to the last host's end, and with one bare rsync after another.
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
  const first = await sync();
  const master = treeOf("master");
  // Bare rsyncs read the master's tree from a daemon of their own.
  await mkdir(join(directory, "peers"));
  const source = await startUpstream(
    { ...place, directory: join(directory, "peers") },
    { tree: master },
  );
  const [scanned, listed] = ["scanned", "listed"].map((name) => join(directory, "peers", name)) as [
    string,
    string,
  ];
  const full = await timed([process.pid], () => rsync(["-aH", "--delete", source, scanned]));
  await rsync(["-aH", "--delete", source, listed]);
  const firstSeconds = Math.max(
    ...first.tasks.filter(({ role }) => role === "ftp").map(({ result }) => result!.seconds),
  );
  print(
    `first sync of all files: ${firstSeconds.toFixed(1)} s on the slowest host, bare rsync alone ${full.wall.toFixed(1)} s`,
  );
  row([
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
    "| scan/ours",
    "ours/list",
    "bytes",
  ]);
  const pidsOf = (names: string[]) =>
    programs.filter(({ name }) => names.includes(name)).map(({ child }) => child.pid!);
  const agents = pidsOf(hosts);
  const daemon = childrenOf(pidsOf(["master"])[0]!);
  const peer = [programs.findLast(({ name }) => name === "upstream")!.child.pid!];
  for (const [round, k] of changes.entries()) {
    const { changed, deleted } = changePool(tree, { files, count: k, round: round + 1 });
    let run: RunDetail | undefined;
    const daemonBefore = cpuSeconds(daemon);
    const ours = await timed(agents, async () => {
      run = await sync();
      return bytesOf(run);
    });
    const daemonCpu = cpuSeconds(daemon) - daemonBefore;
    const hops = hopsOf(run!);
    // Without a change no host hears of it.
    const wall = hops.length === 0 ? 0 : Math.max(...hops);
    const paths = join(directory, "peers", "paths");
    await writeFile(paths, [...changed, ...deleted].map((path) => `${path}\0`).join(""));
    const scan = await timed([process.pid], () => rsync(["-aH", "--delete", source, scanned]));
    const peerBefore = cpuSeconds(peer);
    const list = await timed([process.pid], () =>
      rsync([
        "-lptH",
        "--trust-sender",
        "--no-implied-dirs",
        "--delete-missing-args",
        "--from0",
        `--files-from=${paths}`,
        source,
        listed,
      ]),
    );
    const peerCpu = cpuSeconds(peer) - peerBefore;
    await verify({ expected: tree, actual: [...hosts.map(treeOf), scanned, listed] });
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
      peerCpu,
      wall === 0 ? "-" : scan.wall / wall,
      wall === 0 ? "-" : wall / list.wall,
      ours.bytes === 0 ? "-" : (scan.bytes * count) / ours.bytes,
    ]);
  }
}
