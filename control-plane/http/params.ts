import { z } from "zod";

const name = z
  .string()
  .min(1)
  .max(100)
  .regex(/^[^\0]*$/, "must not hold NUL");

/** `{name}` of a project or a host; one that cannot exist is not found. */
export const nameParams = z.object({ name });

/** `{project}` and `{host}` of a replica. */
export const replicaParams = z.object({ project: name, host: name });

/** `{id}` of a run, a task or a token. */
export const idParams = z.object({ id: z.uuid("must be a UUID") });
