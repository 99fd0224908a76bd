import { sql } from "drizzle-orm";
import type { Ctx } from "../../context.ts";
import type { alertReceivers } from "../schema/alerts.ts";

type Receiver = typeof alertReceivers.$inferSelect;

const idsOf = ({ rows }: { rows: { id: string }[] }) => rows.map(({ id }) => id);

/** Alerts that a receiver was told of and that have ended; it needs to be told so once. */
export async function forgetEnded(
  { db }: Pick<Ctx, "db">,
  { receiverId }: { receiverId: string },
): Promise<string[]> {
  return idsOf(
    await db.execute<{ id: string }>(sql`
      delete from alerts_told t using alerts a
      where t.receiver_id = ${receiverId} and a.id = t.alert_id and a.closed_at is not null
      returning a.id`),
  );
}

/** Alerts that go on, that concern a receiver, and that it has not been told of until now. */
export async function markBegun(
  { db, now }: Pick<Ctx, "db" | "now">,
  { receiver }: { receiver: Receiver },
): Promise<string[]> {
  return idsOf(
    await db.execute<{ id: string }>(sql`
      insert into alerts_told (receiver_id, alert_id, told_at)
      select r.id, a.id, ${now()}
      from alert_receivers r join alerts a on a.closed_at is null
        and a.condition = any(r.conditions)
        and (r.projects is null or a.project = any(r.projects))
        and (r.hosts is null or a.host = any(r.hosts))
      where r.id = ${receiver.id} and not exists (
        select from alerts_told t where t.receiver_id = r.id and t.alert_id = a.id)
      on conflict do nothing
      returning alert_id id`),
  );
}

/** All that goes on of what a receiver was told, where it is time to remind it of any. */
export async function markReminded(
  { db, now }: Pick<Ctx, "db" | "now">,
  { receiver: { id, remindHours } }: { receiver: Receiver },
): Promise<string[]> {
  if (remindHours === null) return [];
  return idsOf(
    await db.execute<{ id: string }>(sql`
      update alerts_told set told_at = ${now()}
      where receiver_id = ${id} and exists (
        select from alerts_told due
        where due.receiver_id = ${id} and due.told_at <= ${now()} - ${remindHours} * interval '1 hour')
      returning alert_id id`),
  );
}
