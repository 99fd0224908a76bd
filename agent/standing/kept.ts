import { mkdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "../files.ts";

/** The standing orders that a host keeps, as they were signed; passwords in them stay sealed. */
const standingSetSchema = z.object({ version: z.string().nullable(), orders: z.array(z.string()) });
export type StandingSet = z.infer<typeof standingSetSchema>;

/** The set of a host that has none. */
export const noStandingOrders: StandingSet = { version: null, orders: [] };

const fileOf = (stateDir: string) => join(stateDir, "standing", "orders.json");

/** Reads the kept orders. A file that is damaged counts as none: they are fetched again. */
export async function readStandingSet({ stateDir }: { stateDir: string }): Promise<StandingSet> {
  const text = await readFile(fileOf(stateDir), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return null;
  });
  if (text === null) return noStandingOrders;
  try {
    return standingSetSchema.parse(JSON.parse(text));
  } catch {
    return noStandingOrders;
  }
}

/** Forgets all standing orders: they are switched off, or the host was revoked. */
export async function removeStandingSet({ stateDir }: { stateDir: string }): Promise<void> {
  await rm(fileOf(stateDir), { force: true });
}

/** Keeps a set of orders, durably, for its owner alone. */
export async function writeStandingSet(
  { stateDir }: { stateDir: string },
  { set }: { set: StandingSet },
): Promise<void> {
  const path = fileOf(stateDir);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFileAtomically({ path, text: JSON.stringify(set), mode: 0o600 });
}
