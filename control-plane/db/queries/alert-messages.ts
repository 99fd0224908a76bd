import { and, asc, eq, inArray, isNull, sql } from "drizzle-orm";
import type { Alert, MessageKind } from "../../../protocol/alert.ts";
import type { Ctx } from "../../context.ts";
import { alertMessages, alertReceivers, alerts } from "../schema/alerts.ts";
import { alertView } from "./alerts.ts";

/** Alerts that a message holds; of more it tells the number. */
const alertsInMessage = 200;
/** Messages that are taken at a time. */
const batch = 10;
/** Longer than sending takes: who ends meanwhile leaves it to another. */
const claimSeconds = 60;
const longestBackOffSeconds = 3600;

/** What is to be told to a receiver. `id` stays the same however often it is sent. */
export type Message = {
  id: string;
  kind: MessageKind;
  at: string;
  alerts: Alert[];
  total: number;
};

/** A message that is this replica's to send, for now. */
export type TakenMessage = {
  message: Message;
  attempt: number;
  receiver: typeof alertReceivers.$inferSelect;
};

/** Writes a message of alerts, to be delivered. */
export async function insertMessage(
  { db, now }: Pick<Ctx, "db" | "now">,
  { receiverId, kind, alertIds }: { receiverId: string; kind: MessageKind; alertIds: string[] },
): Promise<void> {
  const rows = await db
    .select()
    .from(alerts)
    // One parameter: of single ones there may be 65,535.
    .where(sql`${alerts.id} = any(${sql.param(alertIds)}::uuid[])`)
    .orderBy(asc(alerts.condition), asc(alerts.project), asc(alerts.host), asc(alerts.root))
    .limit(alertsInMessage);
  await db.insert(alertMessages).values({
    receiverId,
    kind,
    alerts: rows.map(alertView),
    total: alertIds.length,
    createdAt: sql`${now()}`,
    notBefore: sql`${now()}`,
  });
}

/**
 * Takes messages that are due, of each receiver the oldest that waits: they arrive in order. What waits for
 * one that is silenced waits until that is over. No transaction is held while they are sent; one that is not
 * marked in time is due again.
 */
export async function takeDueMessages({
  db,
  now,
}: Pick<Ctx, "db" | "now">): Promise<TakenMessage[]> {
  const { rows } = await db.execute<{ id: string }>(sql`
    update alert_messages set attempts = attempts + 1,
      not_before = ${now()} + ${claimSeconds} * interval '1 second'
    where id in (
      select m.id from alert_messages m
      where m.delivered_at is null and m.given_up_at is null and m.not_before <= ${now()}
        and not exists (
          select from alert_receivers silent
          where silent.id = m.receiver_id and silent.silenced_until > ${now()})
        and not exists (
          select from alert_messages earlier
          where earlier.receiver_id = m.receiver_id and earlier.number < m.number
            and earlier.delivered_at is null and earlier.given_up_at is null)
      order by m.number limit ${batch} for update skip locked)
    returning id`);
  if (rows.length === 0) return [];
  const taken = await db
    .select({ message: alertMessages, receiver: alertReceivers })
    .from(alertMessages)
    .innerJoin(alertReceivers, eq(alertReceivers.id, alertMessages.receiverId))
    .where(
      inArray(
        alertMessages.id,
        rows.map(({ id }) => id),
      ),
    );
  return taken.map(({ message, receiver }) => ({
    message: {
      id: message.id,
      kind: message.kind,
      at: message.createdAt.toISOString(),
      alerts: message.alerts,
      total: message.total,
    },
    attempt: message.attempts,
    receiver,
  }));
}

/** Notes that a message has arrived. */
export async function markDelivered(
  { db, now }: Pick<Ctx, "db" | "now">,
  { id }: { id: string },
): Promise<void> {
  await db
    .update(alertMessages)
    .set({ deliveredAt: sql`${now()}`, error: null })
    .where(and(eq(alertMessages.id, id), isNull(alertMessages.deliveredAt)));
}

/**
 * Has a message that did not arrive wait before it is sent again: a second to `10 · 2ⁿ` of them, at most an
 * hour, by chance. After a day it is given up; answers whether it is.
 */
export async function markFailed(
  { db, now }: Pick<Ctx, "db" | "now">,
  { id, attempt, error }: { id: string; attempt: number; error: string },
): Promise<{ givenUp: boolean }> {
  const ceiling = Math.min(longestBackOffSeconds, 10 * 2 ** (attempt - 1));
  const pause = Math.max(1, Math.random() * ceiling);
  const { rows } = await db.execute<{ given_up: boolean }>(sql`
    update alert_messages set error = ${error},
      not_before = ${now()} + ${pause} * interval '1 second',
      given_up_at = case when created_at <= ${now()} - interval '1 day' then ${now()} end
    where id = ${id} and attempts = ${attempt} and delivered_at is null
    returning given_up_at is not null given_up`);
  return { givenUp: rows[0]?.given_up ?? false };
}

/** Has what waits for a receiver sent at once. */
export async function retryNow(
  { db, now }: Pick<Ctx, "db" | "now">,
  { receiverId }: { receiverId: string },
): Promise<void> {
  await db
    .update(alertMessages)
    .set({ notBefore: sql`${now()}` })
    .where(
      and(
        eq(alertMessages.receiverId, receiverId),
        isNull(alertMessages.deliveredAt),
        isNull(alertMessages.givenUpAt),
      ),
    );
}
