import { sql } from "drizzle-orm";

/** A table of the deletions that wait for an operator: `task, project_id, host_id, deletions, entries`. */
export const heldDeletions = sql`(
  select t.id task, t.project_id, t.host_id,
    (t.result -> 'held' ->> 'deletions')::int deletions,
    (t.result -> 'held' ->> 'entries')::int entries
  from tasks t
  where t.state = 'failed' and t.dismissed_at is null and t.result ->> 'outcome' = 'held'
    and t.result -> 'held' <> 'null'
    and not exists (
      select from tasks newer where newer.project_id = t.project_id
        and newer.host_id = t.host_id and newer.queued_at > t.queued_at))`;
