import type { Sql } from "postgres";
import { checkStates } from "../../chaos/checks/states.ts";
import { readJournal } from "../../chaos/journal.ts";

/** Each answers rows of what must not be, at any moment. */
const invariants = `
  select 'more than one lease on a destination' as broken, min(id::text) as id
    from tasks where state = 'leased' group by project_id, host_id having count(*) > 1
  union all select 'more leases than the host runs in parallel', h.name
    from hosts h where h.parallel < (select count(*) from tasks where host_id = h.id and state = 'leased')
  union all select 'more hosts pull from the master than it serves', h.name
    from hosts h where h.serves < (select count(*) from tasks where role = 'ftp' and state = 'leased')
  union all select 'more than one run of a project pulls', min(id::text)
    from runs where state = 'running' group by project_id having count(*) > 1
  union all select 'an ended run has an open task', r.id::text
    from runs r join tasks t on t.run_id = r.id
    where r.state not in ('running', 'distributing') and t.state in ('queued', 'leased')
  union all select 'a run is under way without an open task', r.id::text
    from runs r where r.state in ('running', 'distributing')
    and not exists (select from tasks t where t.run_id = r.id and t.state in ('queued', 'leased'))
  union all select 'a run waits behind none', q.id::text
    from runs q where q.state = 'queued'
    and not exists (select from runs r where r.project_id = q.project_id and r.state = 'running')
  union all select 'a lease and the running attempt are not the same', coalesce(t.id, a.task_id)::text
    from (select * from tasks where state = 'leased') t
    full join (select * from attempts where state = 'running') a
      on a.task_id = t.id and a.attempt = t.attempt
    where t.id is null or a.task_id is null
  union all select 'a task has a deadline or a poll without a lease, or a lease without them', id::text
    from tasks where (state = 'leased') <> (lease_until is not null)
    or (state = 'leased') <> (poll_id is not null)
  union all select 'an end without a time, or a time without an end', id::text
    from tasks where (state in ('queued', 'leased')) <> (finished_at is null)
  union all select 'an attempt is missing', t.id::text
    from tasks t where attempt <> (select count(*) from attempts a where a.task_id = t.id)
  union all select 'more attempts than allowed', id::text from tasks where attempt > max_attempts
  union all select 'a host carries a generation that is not published', r.host_id::text
    from replicas r join projects p on p.id = r.project_id where r.generation > p.generation
  union all select 'ended runs are not what was counted', project_id::text || ' ' || state
    from (select project_id, state, count(*) n from runs
      where state not in ('queued', 'running', 'distributing') group by 1, 2) r
    full join run_totals t using (project_id, state) where r.n is distinct from t.runs
  union all select 'ended attempts are not what was counted', project_id::text || ' ' || host_id
    from (select t.project_id, t.host_id, count(*) n from attempts a join tasks t on t.id = a.task_id
      where a.state <> 'running' group by 1, 2) a
    full join (select project_id, host_id, sum(attempts) n from attempt_totals c
      where exists (select from projects p where p.id = c.project_id) group by 1, 2) t
      using (project_id, host_id) where a.n is distinct from t.n
  union all select 'waits are not what was counted', project_id::text
    from (select t.project_id, count(*) n from tasks t join attempts a on a.task_id = t.id
      where a.attempt = 1 and a.state <> 'running' group by 1) a
    full join (select project_id, sum(tasks) n from wait_totals c
      where exists (select from projects p where p.id = c.project_id) group by 1) t
      using (project_id) where a.n is distinct from t.n`;

/** What is wrong with the database's tasks and runs now, and with each change that they have had. */
export async function findBroken(sql: Sql): Promise<string[]> {
  const rows = await sql.unsafe(invariants);
  const changes = checkStates({ changes: await readJournal(sql) });
  return [...rows.map(({ broken, id }) => `${broken}: ${id}`), ...changes.map(({ what }) => what)];
}

/** Generation of each project and replica, by name. */
export async function readGenerations(sql: Sql): Promise<Map<string, number>> {
  const rows = await sql`
    select name, generation from projects
    union all select p.name || ' on ' || h.name, r.generation
      from replicas r join projects p on p.id = r.project_id join hosts h on h.id = r.host_id`;
  return new Map(rows.map(({ name, generation }) => [String(name), Number(generation)]));
}
