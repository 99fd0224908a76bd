import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { AppError } from "../../protocol/errors.ts";
import type { Task } from "../../protocol/run.ts";
import { action, type CliCtx } from "../context.ts";
import { hasEnded } from "../follow-run.ts";
import { wholeNumber } from "../whole-number.ts";

const lookEveryMilliseconds = 500;
const escape = String.fromCodePoint(27);

/** Bytes of a log without what a terminal would obey; as they are where they go to a file. */
function shown(bytes: Uint8Array, decoder: InstanceType<typeof TextDecoder>): string {
  const text = decoder.decode(bytes, { stream: true });
  if (!process.stdout.isTTY) return text;
  return text.replaceAll(/[^\P{Cc}\n\t]/gu, "\uFFFD").replaceAll(escape, "\uFFFD");
}

async function printLog(
  { client }: CliCtx,
  {
    id,
    attempt,
    offset = 0,
    follow,
  }: { id: string; attempt?: number; offset?: number; follow: boolean },
): Promise<number> {
  const decoder = new TextDecoder();
  let printed = 0;
  const query = { ...(attempt !== undefined && { attempt }), offset, follow };
  for await (const bytes of await client.openTaskLog(id, query)) {
    process.stdout.write(shown(bytes, decoder));
    printed += bytes.length;
  }
  return printed;
}

/** Follows a task's attempts to its end: the server ends a stream after ten minutes, and a proxy when it likes. */
async function followTask(ctx: CliCtx, { id }: { id: string }): Promise<void> {
  let attempt = 0;
  let offset = 0;
  for (;;) {
    const task = await ctx.client.getTask(id);
    const ended = task.state !== "queued" && task.state !== "leased";
    if (attempt === 0) attempt = task.attempt;
    if (attempt > 0) offset += await printLog(ctx, { id, attempt, offset, follow: !ended });
    const past = ended || task.attempt > attempt;
    if (task.attempt > attempt && attempt > 0) [attempt, offset] = [attempt + 1, 0];
    else if (past) return;
    else await sleep(lookEveryMilliseconds);
  }
}

const begun = ({ attempt }: Task) => attempt > 0;

/** The logs of all of a run's tasks, one after the other. */
async function printRun(ctx: CliCtx, { id, follow }: { id: string; follow: boolean }) {
  const printed = new Set<string>();
  for (;;) {
    const run = await ctx.client.getRun(id);
    const next = run.tasks.find((task) => begun(task) && !printed.has(task.id));
    if (next) {
      printed.add(next.id);
      process.stdout.write(`==> ${next.host} (task ${next.id})\n`);
      if (follow) await followTask(ctx, { id: next.id });
      else await printLog(ctx, { id: next.id, follow });
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
            const which = attempt === undefined ? {} : { attempt };
            if (follow && attempt === undefined) await followTask(ctx, { id: id! });
            else await printLog(ctx, { id: id!, follow, ...which });
          } catch (error) {
            if (!(error instanceof AppError) || error.code !== "not-found") throw error;
            await printRun(ctx, { id: id!, follow });
          }
        },
      ),
    );
}
