import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { eventByOutcome, type Outcome } from "../protocol/states.ts";
import { writeFileAtomically } from "./files.ts";

const endsSchema = z.record(
  z.string(),
  z.object({ at: z.number(), succeeded: z.boolean(), success: z.number().nullable() }),
);
/** How each project's sync ended last, and when it succeeded last; in seconds since 1970. */
type Ends = z.infer<typeof endsSchema>;

/** What the metrics file is written from; nothing where there is none. */
export type Metrics = {
  ends: () => Ends;
  /** Notes how a project's sync ended: it outlives the agent. */
  note: (input: { project: string; outcome: Outcome }) => Promise<void>;
};

/** Opens the memory of how syncs ended; none is kept without a metrics file. */
export async function openMetrics({
  stateDir,
  metricsFile,
}: {
  stateDir: string;
  metricsFile: string | null;
}): Promise<Metrics> {
  const path = join(stateDir, "ends.json");
  const text = metricsFile === null ? "{}" : await readFile(path, "utf8").catch(() => "{}");
  const known = endsSchema.safeParse(parseJson(text));
  const ends: Ends = known.success ? known.data : {};
  // One after another: two syncs may end together.
  let written: Promise<void> = Promise.resolve();
  return {
    ends: () => ends,
    note: async ({ project, outcome }) => {
      if (metricsFile === null) return;
      const at = Math.round(Date.now() / 1000);
      const succeeded = eventByOutcome[outcome] === "succeed";
      ends[project] = { at, succeeded, success: succeeded ? at : (ends[project]?.success ?? null) };
      // What cannot be written is known until the agent ends: a full disk must not fail a sync.
      written = written.then(() =>
        writeFileAtomically({ path, text: JSON.stringify(ends), mode: 0o600 }).catch(() => {}),
      );
      await written;
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
