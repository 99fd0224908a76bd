import { and, desc, eq, gte, lt, sql } from "drizzle-orm";
import type { z } from "zod";
import type { AuditEvent, auditQuerySchema } from "../../../protocol/settings.ts";
import type { Ctx } from "../../context.ts";
import { auditEvents } from "../schema/operators.ts";
import { after, page } from "./page.ts";

/** Writes down a change, in the transaction that makes it. */
export async function insertAuditEvent(
  { db, now }: Pick<Ctx, "db" | "now">,
  event: Omit<AuditEvent, "id" | "at">,
): Promise<void> {
  await db
    .insert(auditEvents)
    .values({ ...event, at: sql`${now()}` })
    .prepare("insert audit event")
    .execute();
}

/** Audit events, newest first. */
export async function readAuditEvents(
  { db }: Pick<Ctx, "db">,
  { actor, action, target, since, until, limit, cursor }: z.output<typeof auditQuerySchema>,
) {
  const rows = await db
    .select()
    .from(auditEvents)
    .where(
      and(
        actor === undefined ? undefined : eq(auditEvents.actor, actor),
        action === undefined ? undefined : eq(auditEvents.action, action),
        target === undefined ? undefined : sql`starts_with(${auditEvents.target}, ${target})`,
        since === undefined ? undefined : gte(auditEvents.at, new Date(since)),
        until === undefined ? undefined : lt(auditEvents.at, new Date(until)),
        after({ cursor, columns: [auditEvents.at, auditEvents.id], descending: true }),
      ),
    )
    .orderBy(desc(auditEvents.at), desc(auditEvents.id))
    .limit(limit + 1);
  return page({
    rows,
    limit,
    key: ({ at, id }) => [at.toISOString(), id],
    view: (row) => ({ ...row, at: row.at.toISOString() }),
  });
}
