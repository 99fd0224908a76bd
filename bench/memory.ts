import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { usageOf } from "./figures.ts";

/**
 * Bytes of a process: `resident`, as it is, with garbage; `collected`, the same once garbage is collected and
 * without the young generation of V8's heap; `live`, what is alive in its heap and outside of it then.
 */
export type Memory = { resident: number; collected: number; live: number };

/** A program's memory can be measured that was started with this `env`; one program at a time. */
export function memoryProbe({ directory }: { directory: string }) {
  const file = join(directory, "live-memory");
  const env = {
    BENCH_LIVE_MEMORY: file,
    NODE_OPTIONS: `--import ${new URL("agents/live-memory.ts", import.meta.url).href}`,
  };
  const measure = async (pid: number): Promise<Memory> => {
    rmSync(file, { force: true });
    const { resident } = usageOf(pid);
    process.kill(pid, "SIGUSR2");
    while (!existsSync(file)) await sleep(50);
    return { resident, ...(JSON.parse(readFileSync(file, "utf8")) as Omit<Memory, "resident">) };
  };
  return { env, measure };
}
