import type { z } from "zod";
import type { projectCreateSchema } from "../../protocol/project.ts";
import { parseRsyncUrl } from "../../protocol/rsync.ts";
import { firstRun } from "./next-run.ts";

type Parsed = z.output<typeof projectCreateSchema>;

/**
 * Checks what a schema cannot: that the upstream can be pulled from, and that the schedule fires.
 * @throws AppError `invalid-input` that names the field.
 */
export function checkedProject(input: Parsed): Parsed & { nextRunAt: Date | null } {
  if (input.upstream !== null) parseRsyncUrl(input.upstream);
  // An unknown zone is refused also where there is no schedule yet to use it.
  const schedule = { schedule: input.schedule ?? "0 0 * * *", zone: input.zone };
  const first = firstRun(schedule, { after: new Date() });
  return { ...input, nextRunAt: input.schedule === null ? null : first };
}
