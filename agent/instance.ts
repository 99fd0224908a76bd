import { createHash, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { z } from "zod";
import type { Instance } from "../protocol/instance.ts";

/** The id that /etc/machine-id asks not to be told, hashed for mirrorfleet alone; null where the machine has none. */
async function hashedMachineId(): Promise<string | null> {
  const text = await readFile("/etc/machine-id", "utf8").catch(() => "");
  const id = text.trim();
  if (!/^[0-9a-f]{32}$/.test(id)) return null;
  return createHash("sha256").update(`mirrorfleet-agent ${id}`).digest("hex").slice(0, 12);
}

/** What this process says of itself: the control plane notices by that where two have one key. */
export async function thisInstance({ bootId }: { bootId: string }): Promise<Instance> {
  return {
    id: randomUUID(),
    machine: hostname().slice(0, 255),
    machineId: await hashedMachineId(),
    bootId: z.uuid().safeParse(bootId.trim()).data ?? null,
  };
}
