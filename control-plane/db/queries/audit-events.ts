import { and, desc, eq, gte, lt, sql } from "drizzle-orm";
import type { z } from "zod";
import type { AuditEvent, auditQuerySchema } from "../../../protocol/settings.ts";
import type { Ctx } from "../../context.ts";
import { type Blanks, prepared } from "../compiled.ts";
import { auditEvents } from "../schema/operators.ts";
import { after, page } from "./page.ts";

const insertEvent = prepared(
  (
    { db, now },
    event: Blanks<{
      actor: string;
      action: string;
      target: string;
      before: string | null;
      after: string | null;
    }>,
  ) =>
    db
      .insert(auditEvents)
      .values({
        actor: event.actor,
        action: event.action,
        target: event.target,
        before: sql`${event.before}::jsonb`,
        after: sql`${event.after}::jsonb`,
        at: sql`${now()}`,
      })
      .prepare("insert audit event"),
);

const textOf = (value: unknown) => (value === null ? null : JSON.stringify(value));

/** Writes down a change, in the transaction that makes it. */
export async function insertAuditEvent(
  ctx: Pick<Ctx, "db" | "now">,
  { before, after: later, ...event }: Omit<AuditEvent, "id" | "at">,
): Promise<void> {
  await insertEvent(ctx, { ...event, before: textOf(before), after: textOf(later) }).execute();
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
