import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const variable = "MIRRORFLEET_STARTED_BY";
/** Seconds between TERM and KILL. */
const graceSeconds = 10;

/** Environment of every rsync that this agent starts: it tells later whose it was. */
export const startedBy = (stateDir: string) => ({ [variable]: stateDir });

async function findLeftovers({ stateDir }: { stateDir: string }): Promise<number[]> {
  const mark = `${variable}=${stateDir}`;
  const found: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // A process that has ended, or that is another user's, is none of ours.
    const environment = await readFile(`/proc/${name}/environ`, "utf8").catch(() => "");
    if (environment.split("\0").includes(mark)) found.push(Number(name));
  }
  return found;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/**
 * Ends the rsyncs that an agent left when it was killed; the caller holds the state directory, so
 * nobody else's are among them. Answers how many there were.
 */
export async function endLeftovers({ stateDir }: { stateDir: string }): Promise<number> {
  const found = await findLeftovers({ stateDir });
  for (const pid of found) signal(pid, "SIGTERM");
  let left = found;
  for (let waited = 0; left.length > 0; waited += 0.1) {
    if (waited >= graceSeconds) for (const pid of left) signal(pid, "SIGKILL");
    await sleep(100);
    left = await findLeftovers({ stateDir });
  }
  return found.length;
}
