import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { AppError } from "../../protocol/errors.ts";
import type { Task } from "../../protocol/run.ts";
import { action, type CliCtx } from "../context.ts";
import { hasEnded } from "../follow-run.ts";
import { isAway, patiently } from "../patiently.ts";
import { wholeNumber } from "../whole-number.ts";

const lookEveryMilliseconds = 500;
const escape = String.fromCodePoint(27);

/** Bytes of a log without what a terminal would obey; as they are where they go to a file. */
function shown(bytes: Uint8Array, decoder: InstanceType<typeof TextDecoder>): string {
  const text = decoder.decode(bytes, { stream: true });
  if (!process.stdout.isTTY) return text;
  return text.replaceAll(/[^\P{Cc}\n\t]/gu, "\uFFFD").replaceAll(escape, "\uFFFD");
}

type Place = { attempt: number; offset: number };

/** Prints an attempt's log from a place on, which moves with what was printed. */
async function printLog(
  { client }: CliCtx,
  { id, place, follow }: { id: string; place: Partial<Place>; follow: boolean },
): Promise<void> {
  const decoder = new TextDecoder();
  for await (const bytes of await client.openTaskLog(id, { ...place, follow })) {
    process.stdout.write(shown(bytes, decoder));
    place.offset = (place.offset ?? 0) + bytes.length;
  }
}

/** Prints it; false where the connection broke meanwhile. */
async function isPrinted(
  ctx: CliCtx,
  log: { id: string; place: Place; follow: boolean },
): Promise<boolean> {
  try {
    await printLog(ctx, log);
    return true;
  } catch (error) {
    if (!isAway(error)) throw error;
    return false;
  }
}

/**
 * Follows a task's attempts to its end. The server ends a stream after ten minutes and a proxy when it
 * likes: it goes on from where it was.
 */
async function followTask(ctx: CliCtx, { id }: { id: string }): Promise<void> {
  let place: Place | undefined;
  for (;;) {
    const task = await patiently(() => ctx.client.getTask(id));
    const ended = task.state !== "queued" && task.state !== "leased";
    if (!place && task.attempt > 0) place = { attempt: task.attempt, offset: 0 };
    const from = place;
    const whole = !from || (await isPrinted(ctx, { id, place: from, follow: !ended }));
    if (!whole) await sleep(lookEveryMilliseconds);
    else if (from && task.attempt > from.attempt) place = { attempt: from.attempt + 1, offset: 0 };
    else if (ended) return;
    else await sleep(lookEveryMilliseconds);
  }
}

const begun = ({ attempt }: Task) => attempt > 0;

/** The logs of all of a run's tasks, one after the other. */
async function printRun(ctx: CliCtx, { id, follow }: { id: string; follow: boolean }) {
  const printed = new Set<string>();
  const look = () => ctx.client.getRun(id);
  for (;;) {
    const run = await (follow && printed.size > 0 ? patiently(look) : look());
    const next = run.tasks.find((task) => begun(task) && !printed.has(task.id));
    if (next) {
      printed.add(next.id);
      process.stdout.write(`==> ${next.host} (task ${next.id})\n`);
      if (follow) await followTask(ctx, { id: next.id });
      else await printLog(ctx, { id: next.id, follow, place: {} });
    } else if (!follow || hasEnded(run)) return;
    else await sleep(lookEveryMilliseconds);
  }
}

/** `logs`. */
export function addLogs(program: Command): void {
  program
    .command("logs")
    .description("print the log of a task, or of all tasks of a run")
    .argument("<run-or-task>")
    .option("-f, --follow", "go on until it has ended")
    .option("--attempt <n>", "of a task: which attempt (default: the latest)", wholeNumber)
    .action(
      action<{ follow?: boolean; attempt?: number }>(
        async (ctx, { args: [id], options: { follow = false, attempt } }) => {
          try {
            const place = attempt === undefined ? {} : { attempt };
            // First without patience: where nothing answers, nothing is followed.
            await ctx.client.getTask(id!);
            if (follow && attempt === undefined) await followTask(ctx, { id: id! });
            else await printLog(ctx, { id: id!, follow, place });
          } catch (error) {
            if (!(error instanceof AppError) || error.code !== "not-found") throw error;
            await printRun(ctx, { id: id!, follow });
          }
        },
      ),
    );
}
