import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** The demo's program. */
export const demo = fileURLToPath(new URL("../../demo/main.ts", import.meta.url));

/** Where a root's control plane said that it keeps the database, as its user cannot enter the demo's directory. */
export const databaseElsewhere = (output: string) =>
  /the database is kept in (\S+),/.exec(output)?.[1];

/** Processes whose command line or environment's state lies in this directory. */
export async function processesIn(directory: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)("ps", ["-eo", "pid,args"], { maxBuffer: 2 ** 24 });
  return stdout.split("\n").filter((line) => line.includes(directory));
}
