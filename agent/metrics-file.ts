import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { eventByOutcome, type Outcome } from "../protocol/states.ts";
import { version } from "../protocol/version.ts";
import type { AgentCtx } from "./context.ts";
import { writeFileAtomically } from "./files.ts";

const writeEveryMilliseconds = 15_000;

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

type Sample = { labels?: Record<string, string>; value: number };

const escapeLabel = (text: string) =>
  text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");

const line = (name: string, { labels = {}, value }: Sample) => {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`;
};

const family = (name: string, help: string, samples: Sample[]) => [
  `# HELP mirrorfleet_agent_${name} ${help}`,
  `# TYPE mirrorfleet_agent_${name} gauge`,
  ...samples.map((sample) => line(`mirrorfleet_agent_${name}`, sample)),
];

/** What this host knows of itself, in the text format of Prometheus. */
export function metricsText({
  contact,
  facts,
  metrics,
  standing,
  work,
}: Pick<AgentCtx, "contact" | "facts" | "metrics" | "standing" | "work">): string {
  const looked = contact.look();
  const heard = looked && "silentSeconds" in looked ? Date.now() / 1000 - looked.silentSeconds : 0;
  const running = [...work.projects, ...(standing?.busy.keys() ?? [])];
  const ends = Object.entries(metrics.ends()).toSorted(([left], [right]) =>
    left.localeCompare(right),
  );
  const { rsyncVersion, roots } = facts.latest() ?? { rsyncVersion: null, roots: [] };
  const lines = [
    ...family("info", "Versions of the agent and of rsync", [
      { labels: { version, rsync: rsyncVersion ?? "" }, value: 1 },
    ]),
    ...family(
      "last_contact_timestamp_seconds",
      "When the control plane was heard last; 0: not known",
      [{ value: Math.round(heard) }],
    ),
    ...family(
      "running",
      "1 for each project that is being synced",
      [...new Set(running)].toSorted().map((project) => ({ labels: { project }, value: 1 })),
    ),
    ...family(
      "last_end_timestamp_seconds",
      "When a project's sync ended last",
      ends.map(([project, { at }]) => ({ labels: { project }, value: at })),
    ),
    ...family(
      "last_end_success",
      "Did a project's last sync succeed?",
      ends.map(([project, { succeeded }]) => ({ labels: { project }, value: Number(succeeded) })),
    ),
    ...family(
      "last_success_timestamp_seconds",
      "When a project's sync succeeded last; 0: not yet",
      ends.map(([project, { success }]) => ({ labels: { project }, value: success ?? 0 })),
    ),
    ...family(
      "disk_free_bytes",
      "Room below a mirror root",
      roots.map(({ path: root, freeBytes }) => ({ labels: { root }, value: freeBytes })),
    ),
    ...family(
      "disk_total_bytes",
      "Size of the file system of a mirror root",
      roots.map(({ path: root, totalBytes }) => ({ labels: { root }, value: totalBytes })),
    ),
  ];
  return `${lines.join("\n")}\n`;
}

/** Writes the metrics file now and every fifteen seconds. Returns how to stop that; without a file it does nothing. */
export function keepMetricsFile(ctx: AgentCtx): () => void {
  const path = ctx.config.metricsFile;
  if (path === null) return () => {};
  let fault = "";
  const write = async () => {
    try {
      await writeFileAtomically({ path, text: metricsText(ctx), mode: 0o644 });
      fault = "";
    } catch (error) {
      const { message } = error as Error;
      if (message !== fault) ctx.log(`cannot write the metrics file: ${message}`);
      fault = message;
    }
  };
  void write();
  const timer = setInterval(() => void write(), writeEveryMilliseconds);
  return () => clearInterval(timer);
}
