import { sql } from "drizzle-orm";
import type { Ctx } from "../../context.ts";

/** A table of the deletions that wait for an operator: `task, project_id, host_id, deletions, entries`. */
export const heldDeletions = sql`(
  select t.id task, t.project_id, t.host_id,
    (t.result -> 'held' ->> 'deletions')::int deletions,
    (t.result -> 'held' ->> 'entries')::int entries
  from tasks t
  where t.state = 'failed' and t.dismissed_at is null and t.result ->> 'outcome' = 'held'
    and t.result -> 'held' <> 'null'
    and not exists (
      select from tasks newer where newer.project_id = t.project_id and not newer.dry_run
        and newer.host_id = t.host_id and newer.queued_at > t.queued_at))`;

/** Ids of a project's tasks whose deletions wait for an operator, by host. */
export async function heldTasks(
  { db }: Pick<Ctx, "db">,
  { project }: { project: string },
): Promise<string[]> {
  const { rows } = await db.execute<{ task: string }>(sql`
    select d.task from ${heldDeletions} d
    join projects p on p.id = d.project_id join hosts h on h.id = d.host_id
    where p.name = ${project} order by h.name`);
  return rows.map(({ task }) => task);
}
