import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";

/** Of the times that proc(5) tells. */
export const ticksPerSecond = 100;
export const print = (text: string) => process.stdout.write(`${text}\n`);

export type Figures = { wall: number; cpu: number; bytes: number };

/** CPU seconds that processes and their children, ended or not, have used; from proc(5). */
export function cpuSeconds(roots: number[]): number {
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

/** CPU seconds that the whole machine has been at work; from proc(5). */
export function machineCpuSeconds(): number {
  const [, ...ticks] = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]!.trim().split(/\s+/);
  const [user, nice, system, _idle, _wait, irq, softirq] = ticks.map(Number);
  return (user! + nice! + system! + irq! + softirq!) / ticksPerSecond;
}

/** The rsync daemon of an agent, as its only child. */
export function childrenOf(parent: number): number[] {
  const text = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}

/** Times some work, with the CPU that processes and their children use meanwhile; `work` answers bytes. */
export async function timed(roots: number[], work: () => Promise<number>): Promise<Figures> {
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

/** Most memory that a process has had at a time, in MB; from proc(5). */
export function peakMegabytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)![1]) / 1024;
}

/** Prints a line of a table. */
export const row = (cells: (string | number)[]) =>
  print(
    cells
      .map((cell) =>
        (typeof cell === "number" ? cell.toFixed(cell < 10 ? 2 : 0) : cell).padStart(12),
      )
      .join(""),
  );

/** Milliseconds of the machine's monotonic clock: the same in all processes. */
export const clock = () => Number(process.hrtime.bigint()) / 1e6;

/** Value below which a share of the values lies. */
export function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

const shown = (cell: string | number) =>
  typeof cell === "string" ? cell : cell.toFixed(cell >= 100 ? 0 : cell >= 10 ? 1 : 2);

/** Prints a table, as wide as its cells. */
export function printTable({ head, rows }: { head: string[]; rows: (string | number)[][] }): void {
  const texts = [head, ...rows.map((row) => row.map(shown))];
  const widths = head.map((_, column) => Math.max(...texts.map((row) => row[column]!.length)));
  for (const row of texts)
    print(
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]! + 2),
        )
        .join(""),
    );
}

/** What measurements are worth depends on the machine. */
export function printMachine(): void {
  const [first] = cpus();
  print(`${cpus().length} × ${first?.model.trim()}, Node ${process.versions.node}`);
}

/** Resident memory in bytes, and CPU seconds so far, of a process; from proc(5). */
export function usageOf(pid: number): { resident: number; cpu: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return {
    resident: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024,
    cpu: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
  };
}
