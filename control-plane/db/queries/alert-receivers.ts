import { asc, eq, isNull, lte, or, sql } from "drizzle-orm";
import { AppError } from "../../../protocol/errors.ts";
import type { Receiver } from "../../../protocol/alert.ts";
import type { Ctx } from "../../context.ts";
import { alertReceivers } from "../schema/alerts.ts";

export type ReceiverRow = typeof alertReceivers.$inferSelect;

const notFound = () => new AppError("not-found", "there is no such receiver of alerts");

// Written out: Drizzle names no table where a query has but one.
const waiting = sql`from alert_messages m where m.receiver_id = alert_receivers.id
  and m.delivered_at is null and m.given_up_at is null`;

const select = ({ db }: Pick<Ctx, "db">) =>
  db
    .select({
      receiver: alertReceivers,
      waiting: sql<number>`(select count(*)::int ${waiting})`,
      error: sql<string | null>`(select m.error ${waiting} order by m.number limit 1)`,
      deliveredAt: sql<Date | null>`(
        select max(m.delivered_at) from alert_messages m where m.receiver_id = alert_receivers.id)`.mapWith(
        alertReceivers.createdAt,
      ),
    })
    .from(alertReceivers);
type Listed = Awaited<ReturnType<typeof select>>[number];

const receiverView = ({ receiver, waiting: messages, error, deliveredAt }: Listed): Receiver => ({
  name: receiver.name,
  kind: receiver.kind,
  address: receiver.address,
  room: receiver.room,
  from: receiver.sender,
  to: receiver.recipients,
  conditions: receiver.conditions,
  projects: receiver.projects,
  hosts: receiver.hosts,
  remindHours: receiver.remindHours,
  silencedUntil: receiver.silencedUntil?.toISOString() ?? null,
  waitingMessages: messages,
  lastError: error,
  lastDeliveredAt: deliveredAt?.toISOString() ?? null,
  createdAt: receiver.createdAt.toISOString(),
});

/** All receivers, by name. */
export async function readReceivers(ctx: Pick<Ctx, "db">): Promise<Receiver[]> {
  return (await select(ctx).orderBy(asc(alertReceivers.name))).map(receiverView);
}

/** One receiver. @throws AppError `not-found`. */
export async function readReceiver(
  ctx: Pick<Ctx, "db">,
  { name }: { name: string },
): Promise<Receiver> {
  const [row] = await select(ctx).where(eq(alertReceivers.name, name));
  if (!row) throw notFound();
  return receiverView(row);
}

/** One receiver's row. @throws AppError `not-found`. */
export async function readReceiverRow(
  { db }: Pick<Ctx, "db">,
  { name }: { name: string },
): Promise<ReceiverRow> {
  const [row] = await db.select().from(alertReceivers).where(eq(alertReceivers.name, name));
  if (!row) throw notFound();
  return row;
}

/** The same, locked against other changes. @throws AppError `not-found`. */
export async function lockReceiver(
  { db }: Pick<Ctx, "db">,
  { name }: { name: string },
): Promise<ReceiverRow> {
  const [row] = await db
    .select()
    .from(alertReceivers)
    .where(eq(alertReceivers.name, name))
    .for("no key update");
  if (!row) throw notFound();
  return row;
}

/** Receivers that are not silenced, of which none goes until the transaction has ended. */
export async function lockListening({ db, now }: Pick<Ctx, "db" | "now">): Promise<ReceiverRow[]> {
  return db
    .select()
    .from(alertReceivers)
    .where(
      or(isNull(alertReceivers.silencedUntil), lte(alertReceivers.silencedUntil, sql`${now()}`)),
    )
    .orderBy(asc(alertReceivers.name))
    .for("key share");
}
