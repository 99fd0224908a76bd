import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/** Seconds between TERM and KILL. */
const graceSeconds = 10;

/** Pure. Is it, by its /proc/PID/stat, a process of the group that has not ended? A zombie has: its parent has yet to notice. */
export function livesIn(stat: string, { group }: { group: number }): boolean {
  // The name before may hold spaces and parentheses.
  const [state, , processGroup] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(processGroup) === group && state !== "Z" && state !== "X";
}

/** Does a process of the group live? Zombies count for the kernel, and not here: they may stay for as long as a parent elsewhere. */
export async function groupLives(group: number): Promise<boolean> {
  try {
    process.kill(-group, 0);
  } catch {
    return false;
  }
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, "utf8").catch(() => "");
    if (livesIn(stat, { group })) return true;
  }
  return false;
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Ends a whole process group: TERM, then KILL; returns when nothing of it lives, and whether it took a KILL. */
export async function endGroup(group: number): Promise<boolean> {
  signalGroup(group, "SIGTERM");
  let waited = 0;
  for (; await groupLives(group); waited += 0.1) {
    if (waited >= graceSeconds) signalGroup(group, "SIGKILL");
    await sleep(100);
  }
  return waited > graceSeconds;
}
