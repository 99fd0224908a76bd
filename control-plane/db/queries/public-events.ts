import { sql } from "drizzle-orm";
import type { Ctx } from "../../context.ts";

const eventsInFeed = 100;
const daysInFeed = 14;

type PublicEvent = {
  /** Of the run. */
  id: string;
  project: string;
  kind: "failed" | "recovered";
  reason: string | null;
  at: Date;
};

/**
 * When public projects began to fail and when they recovered, of late, the latest first. Of runs that fail one after the
 * other only the first is one; a run has one end, so what is told of it stays.
 */
export async function readPublicEvents({
  db,
  now,
}: Pick<Ctx, "db" | "now">): Promise<PublicEvent[]> {
  const { rows } = await db.execute<Omit<PublicEvent, "at"> & { at: string }>(sql`
    select e.id, e.project, e.reason, e.at,
      case when e.state = 'failed' then 'failed' else 'recovered' end kind
    from (
      select r.id, p.name project, r.reason, r.finished_at at, r.state,
        lag(r.state) over (partition by r.project_id order by r.finished_at, r.id) before
      from runs r join projects p on p.id = r.project_id
      where p.public and r.trigger not in ('dry-run', 'undo') and r.state in ('succeeded', 'failed')
        and r.created_at > ${now()} - ${2 * daysInFeed} * interval '1 day') e
    where e.at > ${now()} - ${daysInFeed} * interval '1 day'
      and (e.state = 'failed' and e.before is distinct from 'failed'
        or e.state = 'succeeded' and e.before = 'failed')
    order by e.at desc, e.id limit ${eventsInFeed}`);
  return rows.map(({ id, project, kind, reason, at }) => ({
    id,
    project,
    kind,
    reason,
    at: new Date(at),
  }));
}
