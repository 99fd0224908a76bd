import { AppError } from "../protocol/errors.ts";
import { type LogAnswer, logAnswerSchema, maxLogChunkBytes } from "../protocol/report.ts";
import { backOff } from "./back-off.ts";
import type { AgentCtx } from "./context.ts";
import { isFinal, send } from "./request.ts";
import type { SpoolEntry } from "./spool.ts";

const reportSeconds = 30;

/** Sends a report with the attempt's task token. @throws AppError. */
export function report(
  ctx: AgentCtx,
  {
    entry,
    kind,
    body,
    signal,
  }: {
    entry: SpoolEntry;
    kind: string;
    body: string | Uint8Array<ArrayBuffer>;
    signal?: AbortSignal;
  },
) {
  const { taskId, taskToken } = entry.ticket;
  return send({
    url: `${ctx.controlPlane}/v1/tasks/${taskId}/${kind}`,
    method: "POST",
    body,
    authorization: taskToken,
    timeoutSeconds: reportSeconds,
    ...(signal && { signal }),
  });
}

/** Sends one piece of log. Answers where the next one is to begin, and whether the task was cancelled. */
async function deliverPiece(
  ctx: AgentCtx,
  {
    entry,
    offset,
    bytes,
    signal,
  }: {
    entry: SpoolEntry;
    offset: number;
    bytes: Uint8Array<ArrayBuffer>;
    signal: AbortSignal | undefined;
  },
): Promise<LogAnswer> {
  const kind = `log?offset=${offset}`;
  const answer = await report(ctx, { entry, kind, body: bytes, ...(signal && { signal }) });
  const taken = logAnswerSchema.safeParse(answer);
  // What it lacks of the log comes before this piece, or this piece was taken; neither is not getting on.
  if (!taken.success || taken.data.nextOffset === offset)
    throw new AppError("unavailable", "the control plane does not say that it took the log");
  return taken.data;
}

/**
 * Sends what the log has beyond `offset`; answers where the next piece begins. A log that is not taken
 * must cost neither the lease nor the result: what is left of it is passed over. @throws AppError
 * `stale-attempt`, or where sending it again may help.
 */
export async function deliverLog(
  ctx: AgentCtx,
  {
    entry,
    offset,
    onCancel,
    signal,
  }: { entry: SpoolEntry; offset: number; onCancel?: () => void; signal?: AbortSignal },
): Promise<number> {
  const size = await entry.flush();
  let next = offset;
  while (next < size) {
    const bytes = await entry.readLog({
      offset: next,
      bytes: Math.min(maxLogChunkBytes, size - next),
    });
    if (bytes.length === 0) break;
    try {
      const { nextOffset, cancel } = await deliverPiece(ctx, {
        entry,
        offset: next,
        bytes,
        signal,
      });
      if (cancel) onCancel?.();
      next = nextOffset;
    } catch (error) {
      if (!isFinal(error) || error.code === "stale-attempt") throw error;
      ctx.log(`task ${entry.ticket.taskId}: its log is not taken: ${error.message}`);
      return size;
    }
  }
  return next;
}

/** Delivers the rest of the log and the result, for as long as it takes; false where told to stop first. */
export async function deliverResult(
  ctx: AgentCtx,
  { entry, offset, signal }: { entry: SpoolEntry; offset: number; signal: AbortSignal },
): Promise<boolean> {
  const result = await entry.result();
  let next = offset;
  for (let failures = 0; result !== null;) {
    try {
      next = await deliverLog(ctx, { entry, offset: next, signal });
      await report(ctx, { entry, kind: "result", body: JSON.stringify(result), signal });
      break;
    } catch (error) {
      if (isFinal(error)) {
        ctx.log(
          `task ${entry.ticket.taskId}: the result of attempt ${entry.ticket.attempt} is not wanted any more: ${error.message}`,
        );
        break;
      }
      failures += 1;
      if (failures === 1)
        ctx.log(
          `task ${entry.ticket.taskId}: cannot deliver the result yet: ${(error as Error).message}`,
        );
      if (signal.aborted) {
        await entry.close();
        return false;
      }
      await backOff({ failures, signal });
    }
  }
  await entry.remove();
  return true;
}
