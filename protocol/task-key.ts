import { z } from "zod";

/** A key that signs task orders, as operators see it. */
const taskKeySchema = z.object({
  kid: z.string().meta({ description: "Its thumbprint (RFC 7638)" }),
  state: z.enum(["to come", "in use", "replaced"]),
  createdAt: z.iso.datetime(),
  usableFrom: z.iso.datetime(),
});
export type TaskKey = z.infer<typeof taskKeySchema>;

export const taskKeysSchema = z.object({ items: z.array(taskKeySchema) });
