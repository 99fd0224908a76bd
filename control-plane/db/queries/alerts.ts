import { and, desc, eq, isNotNull, isNull, sql } from "drizzle-orm";
import type { z } from "zod";
import type { Alert, AlertCondition, alertsQuerySchema } from "../../../protocol/alert.ts";
import type { Ctx } from "../../context.ts";
import { alerts } from "../schema/alerts.ts";
import { after, page } from "./page.ts";

type AlertRow = typeof alerts.$inferSelect;

/** An alert's subject, and what is wrong with it, in words. */
type Seen = {
  condition: AlertCondition;
  project: string;
  host: string;
  root: string;
  detail: string;
};

/** Seconds for which a condition must have been away before its alert ends. */
const calmSeconds = 120;

/** An alert as operators and receivers see it. */
export const alertView = (row: AlertRow): Alert => ({
  id: row.id,
  condition: row.condition,
  project: row.project || null,
  host: row.host || null,
  root: row.root || null,
  detail: row.detail,
  openedAt: row.openedAt.toISOString(),
  closedAt: row.closedAt?.toISOString() ?? null,
});

const seenTable = (seen: Seen[]) => sql`
  jsonb_to_recordset(${JSON.stringify(seen)}::jsonb)
    seen(condition text, project text, host text, root text, detail text)`;

/** Opens an alert for each condition that is seen and has none, and keeps the words of the others true. */
export async function openAlerts(
  { db, now }: Pick<Ctx, "db" | "now">,
  { seen }: { seen: Seen[] },
): Promise<void> {
  if (seen.length === 0) return;
  await db.execute(sql`
    insert into alerts (condition, project, host, root, detail, opened_at)
    select distinct on (condition, project, host, root) condition, project, host, root, detail, ${now()}
    from ${seenTable(seen)}
    on conflict (condition, project, host, root) where closed_at is null
      do update set detail = excluded.detail, away_at = null
      where alerts.away_at is not null or alerts.detail <> excluded.detail`);
}

/**
 * Ends alerts whose conditions have been away for a while: one that comes and goes is told of once. While
 * a host works on a replica, it is not decided whether that is over for which the last task ended.
 */
export async function closeAlerts(
  { db, now }: Pick<Ctx, "db" | "now">,
  { seen }: { seen: Seen[] },
): Promise<void> {
  // "not in" is hashed however many are seen; "not exists" would compare 25,000 with 25,000 one by one.
  await db.execute(sql`
    update alerts a set away_at = ${now()}
    where a.closed_at is null and a.away_at is null
      and (a.condition, a.project, a.host, a.root) not in (
        select condition, project, host, root from ${seenTable(seen)})
      and not (a.condition in ('held', 'no-progress') and exists (
        select from tasks t
        join projects p on p.id = t.project_id and p.name = a.project
        join hosts h on h.id = t.host_id and h.name = a.host
        where t.state in ('queued', 'leased')))`);
  await db.execute(sql`
    update alerts set closed_at = away_at
    where closed_at is null and away_at <= ${now()} - ${calmSeconds} * interval '1 second'`);
}

/** Takes the turn to look for alerts until the transaction ends; false where somebody else has it. */
export async function takeAlertTurn({ db }: Pick<Ctx, "db">): Promise<boolean> {
  const { rows } = await db.execute<{ taken: boolean }>(
    sql`select pg_try_advisory_xact_lock(hashtext('mirrorfleet alerts')) taken`,
  );
  return rows[0]!.taken;
}

/** A page of alerts, those that began last first. */
export async function readAlerts(
  { db }: Pick<Ctx, "db">,
  { open, condition, project, host, limit, cursor }: z.output<typeof alertsQuerySchema>,
) {
  const rows = await db
    .select()
    .from(alerts)
    .where(
      and(
        open === undefined
          ? undefined
          : open
            ? isNull(alerts.closedAt)
            : isNotNull(alerts.closedAt),
        condition === undefined ? undefined : eq(alerts.condition, condition),
        project === undefined ? undefined : eq(alerts.project, project),
        host === undefined ? undefined : eq(alerts.host, host),
        after({ cursor, columns: [alerts.openedAt, alerts.id], descending: true }),
      ),
    )
    .orderBy(desc(alerts.openedAt), desc(alerts.id))
    .limit(limit + 1);
  return page({
    rows,
    limit,
    key: ({ openedAt, id }) => [openedAt.toISOString(), id],
    view: alertView,
  });
}
