import type { Run, Task } from "../../protocol/run.ts";
import { html, type Html } from "./html.ts";
import { duration, plural } from "./words.ts";

const width = 400;
/** Pixels of a bar with the gap below it; many bars together are no higher than a dozen. */
const rowHeight = 8;
const highest = 96;

const at = (iso: string | null) => (iso === null ? Date.now() : Date.parse(iso));

/** A run as bars over time: the pull above, each host's hop below. `seconds` is what its width stands for. */
export function runBars({
  run,
  tasks,
  seconds,
}: {
  run: Pick<Run, "startedAt" | "scheduledFor">;
  tasks: Task[];
  seconds: number;
}): Html {
  const start = Math.min(
    at(run.startedAt ?? run.scheduledFor),
    ...tasks.flatMap(({ startedAt }) => (startedAt === null ? [] : [at(startedAt)])),
  );
  const scale = width / Math.max(1, seconds);
  const begun = tasks.filter(({ startedAt }) => startedAt !== null);
  const high = Math.min(rowHeight, highest / begun.length);
  const bars = begun.map((task, row) => {
    const from = (at(task.startedAt) - start) / 1000;
    const long = Math.max(0, (at(task.finishedAt) - at(task.startedAt)) / 1000);
    const x = Math.min(width - 2, from * scale).toFixed(1);
    const wide = Math.min(width - Number(x), Math.max(2, long * scale)).toFixed(1);
    return html`<rect
      class="${task.state} ${task.role}"
      x="${x}"
      y="${(row * high).toFixed(1)}"
      width="${wide}"
      height="${(high * 0.75).toFixed(1)}"
      rx="1"
      ><title>${task.host}: ${duration(long)}, ${task.state}</title></rect
    >`;
  });
  const height = Math.max(rowHeight, Math.ceil(bars.length * high));
  return html`<svg
    class="bars"
    viewBox="0 0 ${width} ${height}"
    height="${height}"
    preserveAspectRatio="none"
    role="img"
    aria-label="${plural(bars.length, "task")} over time"
  >
    ${bars}
  </svg>`;
}

/** Seconds from a run's start to its last task's end. */
export function secondsOf({
  run,
  tasks,
}: {
  run: Pick<Run, "startedAt" | "finishedAt" | "scheduledFor">;
  tasks: Task[];
}): number {
  const begun = tasks.flatMap(({ startedAt }) => (startedAt === null ? [] : [at(startedAt)]));
  if (begun.length === 0) return 0;
  const ends = tasks.map(({ startedAt, finishedAt }) => (startedAt === null ? 0 : at(finishedAt)));
  return (Math.max(...ends) - Math.min(at(run.startedAt ?? run.scheduledFor), ...begun)) / 1000;
}
