import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { AppError } from "../../protocol/errors.ts";
import type { Task } from "../../protocol/run.ts";
import { action, type CliCtx } from "../context.ts";
import { hasEnded } from "../follow-run.ts";
import { type LogOutput, openLogOutput } from "../log-output.ts";
import { isAway, patiently } from "../patiently.ts";
import { wholeNumber } from "../whole-number.ts";

const lookEveryMilliseconds = 500;

/** Where an attempt's log was read up to, and where it is written to. */
type Place = { attempt?: number; offset: number; output: LogOutput };

const beginOf = (attempt?: number): Place => ({
  ...(attempt !== undefined && { attempt }),
  offset: 0,
  output: openLogOutput(process.stdout),
});

/** Prints an attempt's log from a place on, which moves with what was printed. */
async function printLog(
  { client }: CliCtx,
  { id, place, follow }: { id: string; place: Place; follow: boolean },
): Promise<void> {
  const { output, ...from } = place;
  for await (const bytes of await client.openTaskLog(id, { ...from, follow })) {
    output.write(bytes);
    place.offset += bytes.length;
  }
}

/** Prints an attempt's log, or the latest's, to its end. */
async function printWhole(
  ctx: CliCtx,
  { id, attempt, follow }: { id: string; attempt?: number | undefined; follow: boolean },
): Promise<void> {
  const place = beginOf(attempt);
  await printLog(ctx, { id, place, follow });
  place.output.end();
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
  let attempt = 0;
  let place: Place | undefined;
  for (;;) {
    const task = await patiently(() => ctx.client.getTask(id));
    const ended = task.state !== "queued" && task.state !== "leased";
    if (attempt === 0 && task.attempt > 0) {
      attempt = task.attempt;
      place = beginOf(attempt);
    }
    const whole = !place || (await isPrinted(ctx, { id, place, follow: !ended }));
    if (whole && (ended || task.attempt > attempt)) {
      place?.output.end();
      if (task.attempt <= attempt) return;
      attempt += 1;
      place = beginOf(attempt);
    } else await sleep(lookEveryMilliseconds);
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
      else await printWhole(ctx, { id: next.id, follow });
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
            // First without patience: where nothing answers, nothing is followed.
            await ctx.client.getTask(id!);
            if (follow && attempt === undefined) await followTask(ctx, { id: id! });
            else await printWhole(ctx, { id: id!, attempt, follow });
          } catch (error) {
            if (!(error instanceof AppError) || error.code !== "not-found") throw error;
            await printRun(ctx, { id: id!, follow });
          }
        },
      ),
    );
}
