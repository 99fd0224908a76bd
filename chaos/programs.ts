import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Exchange } from "./http-proxy.ts";
import type { Machine } from "./machine.ts";
import type { Random } from "./random.ts";

/** What the programs of a fleet are started with. */
export type Ctx = {
  directory: string;
  machine: Machine;
  /** The run was interrupted. */
  signal: AbortSignal;
  random: Random;
  sabotage: Sabotage | null;
  note: (what: string) => void;
  record: (host: string, exchange: Exchange) => void;
  /** Ends what has been started, last first. */
  onEnd: (end: () => Promise<unknown>) => void;
};

/** Path of a file beside this one. */
export const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
/** Options of Node that load a hook before the program. */
export const hook = (name: string) => ["--import", file(`./hooks/${name}.ts`)];

export const sabotages = ["fence", "lock", "spool"] as const;
export type Sabotage = (typeof sabotages)[number];

/** A file that a program's clock follows; see hooks/clock.ts. */
export async function makeClock(path: string): Promise<string> {
  await writeFile(path, "0");
  return path;
}
