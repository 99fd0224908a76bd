import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { AppError } from "../../protocol/errors.ts";
import type { Task } from "../../protocol/run.ts";
import { action, type CliCtx } from "../context.ts";
import { hasEnded } from "../follow-run.ts";

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
  { id, attempt, follow }: { id: string; attempt?: number; follow: boolean },
) {
  const decoder = new TextDecoder();
  const stream = await client.openTaskLog(id, { ...(attempt && { attempt }), follow });
  for await (const bytes of stream) process.stdout.write(shown(bytes, decoder));
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
      await printLog(ctx, { id: next.id, follow });
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
    .option("--attempt <n>", "of a task: which attempt (default: the latest)")
    .action(
      action<{ follow?: boolean; attempt?: string }>(
        async (ctx, { args: [id], options: { follow = false, attempt } }) => {
          try {
            await printLog(ctx, {
              id: id!,
              follow,
              ...(attempt !== undefined && { attempt: Number(attempt) }),
            });
          } catch (error) {
            if (!(error instanceof AppError) || error.code !== "not-found") throw error;
            await printRun(ctx, { id: id!, follow });
          }
        },
      ),
    );
}
