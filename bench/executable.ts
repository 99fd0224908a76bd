import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startAgent, startControlPlane } from "../demo/fleet.ts";
import { freePort, stopPrograms } from "../demo/processes.ts";
import { print, printMachine, printTable, ticksPerSecond } from "./figures.ts";
import type { BenchPlace } from "./fleet.ts";

const file = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
/** Seconds that an agent polls before its memory is read. */
const settleSeconds = 10;

/** A way to start the agent: its command, and the files that a host needs for it. */
type Way = { name: string; command: [string, ...string[]]; files: string[] };

/** Builds what is released, as a releaser does. */
function buildBoth({ directory }: { directory: string }): Way[] {
  const out = join(directory, "dist");
  const { arch, execPath } = process;
  const only = ["--only", "bundle", "executable", "--arch", arch];
  execFileSync(execPath, [file("build/main.ts"), "--out", out, ...only], { stdio: "ignore" });
  const bundle = join(out, "mirrorfleet-agent.mjs");
  const executable = join(out, `mirrorfleet-agent-linux-${arch}`);
  return [
    { name: "sources", command: [execPath, file("agent/main.ts")], files: [] },
    { name: "one file, under Node", command: [execPath, bundle], files: [bundle] },
    { name: "executable", command: [executable], files: [executable] },
  ];
}

/** Processor time, in seconds, of all children of this process that have ended; from proc(5). */
function childrenSeconds(): number {
  const text = readFileSync("/proc/self/stat", "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond;
}

/** Least wall time of a start, and processor time of each, both in milliseconds. */
function startTimes({ command: [program, ...args] }: Way, { rounds }: { rounds: number }) {
  const once = () => {
    const began = performance.now();
    const { status } = spawnSync(program, [...args, "--version"]);
    if (status !== 0) throw new Error(`${program} ended with ${status}`);
    return performance.now() - began;
  };
  once();
  const before = childrenSeconds();
  const least = Math.min(...Array.from({ length: rounds }, once));
  return { least, cpu: ((childrenSeconds() - before) * 1000) / rounds };
}

/** Resident memory of a process in MB, and what of it is its own, not a part of some file; from proc(5). */
function memoryOf(pid: number): { resident: number; own: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const megabytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)![1]) / 1024;
  return {
    resident: megabytes("Rss"),
    own: megabytes("Anonymous"),
  };
}

/** Prints what the agent takes as sources, as one file under Node, and as an executable that needs none. */
export async function executable(place: BenchPlace, { rounds }: { rounds: number }): Promise<void> {
  printMachine();
  const ways = buildBoth(place);
  const { url, client } = await startControlPlane(place);
  const rows: (string | number)[][] = [];
  for (const [index, way] of ways.entries()) {
    const { least, cpu } = startTimes(way, { rounds });
    const host = `ftp${index + 1}`;
    const daemonPort = await freePort();
    const source = "rsync://127.0.0.1:1/";
    const { command } = way;
    const agent = await startAgent(place, { host, client, url, source, daemonPort, command });
    while (!(await client.getHost(host)).lastSeenAt) await sleep(100);
    await sleep(settleSeconds * 1000);
    const { resident, own } = memoryOf(agent.child.pid!);
    await stopPrograms([agent]);
    const bytes = way.files.reduce((sum, path) => sum + statSync(path).size, 0);
    rows.push([way.name, bytes === 0 ? "" : bytes / 1e6, least, cpu, resident, own]);
  }
  print(`Node itself is ${Math.round(statSync(process.execPath).size / 1e6)} MB`);
  printTable({
    head: ["agent", "size, MB", "start, ms", "CPU of it, ms", "resident, MB", "anonymous, MB"],
    rows,
  });
}
