import { randomUUID } from "node:crypto";
import type { Ctx } from "../context.ts";
import {
  markDelivered,
  markFailed,
  takeDueMessages,
  type TakenMessage,
} from "../db/queries/alert-messages.ts";
import { readReceiverRow } from "../db/queries/alert-receivers.ts";
import { openReceiver } from "./receivers.ts";
import { sendMessage } from "./send.ts";

type DeliveryCtx = Pick<Ctx, "db" | "now" | "log" | "secrets">;

/** Sends one message, and notes how that ended; true where it arrived. */
async function deliver(
  ctx: DeliveryCtx,
  { taken, signal }: { taken: TakenMessage; signal: AbortSignal },
): Promise<boolean> {
  const { message, receiver, attempt } = taken;
  const { id, kind } = message;
  const error = await openReceiver(ctx, receiver).then(
    (target) => sendMessage(target, { message, signal }),
    (cause: unknown) => (cause as Error).message,
  );
  const about = { message: id, kind, receiver: receiver.name, attempt };
  if (error === null) {
    await markDelivered(ctx, { id });
    ctx.log.debug(about, "delivered an alert");
    return true;
  }
  const { givenUp } = await markFailed(ctx, { id, attempt, error });
  if (givenUp) ctx.log.error({ ...about, error }, "an alert could not be delivered for a day");
  else ctx.log.warn({ ...about, error }, "an alert was not delivered; it is tried again");
  return false;
}

/**
 * Delivers the messages that are due, those of one receiver in their order, and answers how many arrived.
 * Any number of replicas may do this at once. A message arrives at least once, always with the same id.
 */
export async function deliverAlerts(
  ctx: DeliveryCtx,
  { signal }: { signal: AbortSignal },
): Promise<number> {
  let delivered = 0;
  while (!signal.aborted) {
    const due = await takeDueMessages(ctx);
    if (due.length === 0) break;
    const ended = await Promise.all(due.map((taken) => deliver(ctx, { taken, signal })));
    delivered += ended.filter(Boolean).length;
  }
  return delivered;
}

/** Sends a receiver a message that tells nothing. Answers why it did not arrive; null where it did. @throws AppError `not-found`. */
export async function testReceiver(ctx: Ctx, { name }: { name: string }): Promise<string | null> {
  const target = await openReceiver(ctx, await readReceiverRow(ctx, { name }));
  const message = {
    id: randomUUID(),
    kind: "test" as const,
    at: new Date().toISOString(),
    alerts: [],
    total: 0,
  };
  return sendMessage(target, { message, signal: new AbortController().signal });
}
