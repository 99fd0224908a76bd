import { version } from "../protocol/version.ts";
import type { AgentCtx } from "./context.ts";
import { writeFileAtomically } from "./files.ts";

const writeEveryMilliseconds = 15_000;

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
