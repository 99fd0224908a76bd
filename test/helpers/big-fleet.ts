import { sql } from "drizzle-orm";
import type { Database } from "../../control-plane/db/connect.ts";

/** Fills an empty database with a fleet: each project on a master and on all FTP hosts, with a day of runs. */
export async function fillFleet(
  db: Database,
  { projects, hosts }: { projects: number; hosts: number },
): Promise<void> {
  await db.execute(sql`
    insert into hosts (name, roles, addresses, signing_key, last_seen_at, facts, facts_at)
    select 'h' || n, case when n = 0 then '{master}'::text[] else '{ftp}' end, '{192.0.2.1}', '{}',
      now() - n * interval '3 seconds', jsonb_build_object('rsyncVersion', '3.4.1', 'roots',
        jsonb_build_array(jsonb_build_object('path', '/srv/mirror', 'totalBytes', 1e13::bigint,
          'freeBytes', 1e12::bigint, 'totalInodes', 1000000, 'freeInodes', 900000))), now()
    from generate_series(0, ${hosts}) n`);
  await db.execute(sql`
    insert into projects (name, path, upstream, schedule, zone, misfire, overlap, rsync, max_attempts,
      wall_clock_seconds, stall_seconds, max_delete_percent, generation, fresh_at, fresh_target_seconds, public)
    select 'project-' || n, 'pub/project-' || n, 'rsync://up.example.org/m' || n,
      case when n % 5 > 0 then '0 * * * *' end, 'UTC', 'latest', 'skip', '{}', 3, 3600, 600, 10, 7,
      now() - n * interval '20 seconds', 7200, true
    from generate_series(1, ${projects}) n`);
  await db.execute(sql`
    insert into replicas (project_id, host_id, role, generation, synced_at, fresh_at)
    select p.id, h.id, h.roles[1], case when random() < 0.1 then 6 else 7 end, now(), now() - interval '2 hours'
    from projects p join hosts h on h.name ~ '^h[0-9]+$'`);
  await db.execute(sql`
    insert into runs (project_id, trigger, state, scheduled_for, generation, started_at, finished_at, created_at)
    select p.id, 'manual', 'succeeded', at, 7, at, at + interval '5 minutes', at
    from projects p cross join generate_series(1, 24) n
    cross join lateral (select now() - n * interval '1 hour' as at) t`);
  await db.execute(sql`
    insert into tasks (run_id, project_id, host_id, role, state, attempt, max_attempts, not_before, result, queued_at,
      started_at, finished_at)
    select r.id, r.project_id, c.host_id, c.role, 'succeeded', 1, 3, r.created_at,
      '{"outcome": "ok", "seconds": 12, "changes": 3, "stats": {"receivedBytes": 1000}}', r.created_at,
      r.started_at, r.finished_at
    from runs r join replicas c on c.project_id = r.project_id
    where c.role = 'master' or r.created_at > now() - interval '90 minutes'`);
  await db.execute(sql`
    insert into attempt_totals (project_id, host_id, outcome, attempts, seconds, received_bytes)
    select project_id, host_id, outcome, 100, 1000, 1000000
    from replicas cross join (values ('ok'), ('retryable')) o(outcome)`);
  await db.execute(sql`
    insert into run_totals (project_id, state, runs)
    select id, state, 24 from projects cross join (values ('succeeded'), ('failed')) s(state)`);
  await db.execute(sql`analyze`);
}
