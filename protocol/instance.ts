import { z } from "zod";

/** One process of an agent, as each of its polls names it. */
export const instanceSchema = z.strictObject({
  /** Made at its start. */
  id: z.uuid(),
  /** For people: the machine's own name. */
  machine: z.string().max(255),
  /** Hash of /etc/machine-id, which disk images should not share, and often do; null: it has none. */
  machineId: z
    .string()
    .regex(/^[0-9a-f]{12}$/)
    .nullable(),
  /** The kernel's id of this start of the machine. */
  bootId: z.uuid().nullable(),
});
export type Instance = z.infer<typeof instanceSchema>;
