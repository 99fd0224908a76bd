import type { Task } from "../../protocol/run.ts";
import { html, type Html } from "./html.ts";
import { count, duration, secondsBetween, size } from "./words.ts";

/** Share of a running task that is done, in percent: of the files where their number is known. */
export function percentOf({ progress }: Pick<Task, "progress">): number {
  if (!progress) return 0;
  const { filesTotal, filesChecked, percent } = progress;
  const share = filesTotal > 0 ? (100 * filesChecked) / filesTotal : percent;
  return Math.max(0, Math.min(100, Math.floor(share)));
}

/** How far a running task is: bar, rate, and the time that is left if it goes on like this. */
export function progressOf(task: Task): Html {
  const { progress, startedAt } = task;
  if (!progress) return html`<progress aria-label="Progress"></progress> <small>starting</small>`;
  const percent = percentOf(task);
  const seconds = startedAt === null ? 0 : secondsBetween(startedAt, null);
  const left = percent > 0 && percent < 100 ? (seconds * (100 - percent)) / percent : null;
  const files =
    progress.filesTotal > 0 &&
    ` · ${count(progress.filesChecked)} of ${count(progress.filesTotal)} files looked at`;
  return html`<progress max="100" value="${percent}" aria-label="Progress"></progress>
    <small
      >${percent} % · ${size(progress.bytes)} at
      ${size(progress.bytesPerSecond)}/s${files}${left !== null && ` · about ${duration(left)} left`}</small
    >`;
}
