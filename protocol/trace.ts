import { z } from "zod";
import { relativePath } from "./names.ts";

/** File that a host leaves in a project's tree after a sync; below the project's path. */
export const traceSchema = z.discriminatedUnion("style", [
  /** `project/trace/<name of the host>`, as Debian's ftpsync writes it. */
  z.strictObject({ style: z.literal("debian") }),
  /** Seconds since 1970; without a path `.lastsync`. */
  z.strictObject({ style: z.literal("timestamp"), path: relativePath.optional() }),
]);
export type Trace = z.infer<typeof traceSchema>;
