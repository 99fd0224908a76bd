import type { Sql } from "postgres";

/** Projects, and FTP hosts that carry all of them. */
const projectCount = 100;
const hostCount = 10;

/** A master, FTP hosts and projects without any runs yet; `sealingKey` is every host's. */
export async function makeFleetRows(
  sql: Sql,
  { sealingKey }: { sealingKey: object },
): Promise<void> {
  const signingKey = { kty: "OKP", crv: "Ed25519", x: "A".repeat(43) };
  await sql`
    insert into hosts (name, roles, addresses, signing_key, sealing_key, enrolled_at, daemon_port, roots)
    select case n when 0 then 'master' else 'ftp' || n end,
      array[case n when 0 then 'master' else 'ftp' end], array['127.0.0.1'],
      ${sql.json(signingKey)}, ${sql.json({ ...sealingKey })}, now(), 8873,
      '[{"path": "/srv/mirror", "module": "mirror"}]'
    from generate_series(0, ${hostCount}::int) n`;
  await sql`
    insert into projects (name, upstream, upstream_host, schedule, zone, misfire, overlap, path, rsync,
      max_attempts, wall_clock_seconds, stall_seconds, max_delete_percent, generation, files)
    select 'project-' || n, 'rsync://upstream.example.org/project-' || n, 'upstream.example.org',
      '* * * * *', 'UTC', 'latest', 'skip', 'project-' || n, '{}', 3, 86400, 600, 10, 1, 100000
    from generate_series(1, ${projectCount}::int) n`;
  await sql`
    insert into replicas (project_id, host_id, role, generation, synced_at, scanned_at)
    select p.id, h.id, h.roles[1], 1, now(), now() from projects p cross join hosts h`;
}

type Definition = { table: string; name: string; definition: string };

const indexesOf = (sql: Sql) => sql<Definition[]>`
  select tablename "table", indexname name, indexdef definition from pg_indexes
  where tablename in ('runs', 'tasks', 'attempts')
    and indexname not in (select conname from pg_constraint)`;

// Foreign keys are made after the primary keys that they refer to, and dropped before.
const constraintsOf = (sql: Sql) => sql<Definition[]>`
  select conrelid::regclass::text "table", conname name, pg_get_constraintdef(oid) definition
  from pg_constraint
  where contype in ('p', 'f')
    and (conrelid in ('runs'::regclass, 'tasks'::regclass, 'attempts'::regclass)
      or confrelid in ('runs'::regclass, 'tasks'::regclass, 'attempts'::regclass))
  order by contype = 'f'`;

/** Runs with their tasks and attempts, all of them finished, over the last 90 days. */
async function insertHistory(sql: Sql, { tasks }: { tasks: number }): Promise<void> {
  const each = hostCount + 1;
  const count = Math.ceil(tasks / each);
  await sql`
    insert into runs (project_id, trigger, state, scheduled_for, generation, started_at, finished_at, created_at)
    select p.ids[1 + n % ${projectCount}], 'schedule', 'succeeded', t.at, 1, t.at, t.at, t.at
    from generate_series(1, ${count}::int) n
    cross join (select array_agg(id) ids from projects) p
    cross join lateral (select now() - ${count}::int * interval '1 minute' / ${projectCount}::int
      + n * interval '1 minute' / ${projectCount}::int - interval '2 hours' as at) t`;
  const result = sql.json({
    outcome: "ok",
    exitCode: 0,
    message: "by change list 4711",
    changes: 12,
    stats: { files: 100_000, created: 1, deleted: 0, transferred: 7, totalBytes: 123_456_789 },
    changeList: null,
    scanned: false,
    drift: null,
    seconds: 1.2,
    logBytes: 321,
  });
  await sql`
    insert into tasks (run_id, project_id, host_id, role, state, attempt, max_attempts, not_before,
      result, queued_at, started_at, finished_at)
    select r.id, r.project_id, h.id, h.roles[1], 'succeeded', 1, 3, r.created_at,
      ${result}, r.created_at, r.created_at, r.created_at
    from runs r cross join hosts h`;
  await sql`
    insert into attempts (task_id, attempt, state, result, started_at, finished_at)
    select id, 1, 'succeeded', result, started_at, finished_at from tasks`;
}

/**
 * Fills the history, in one transaction that makes the tables anew: with wal_level minimal nothing of it
 * goes through the log, and indexes are built when all rows are there. Ten million tasks take minutes.
 */
export async function fillHistory(sql: Sql, { tasks }: { tasks: number }): Promise<void> {
  await sql.begin(async (tx) => {
    const inner = tx as unknown as Sql;
    const [indexes, constraints] = [await indexesOf(inner), await constraintsOf(inner)];
    await tx`set local maintenance_work_mem = '512MB'`;
    for (const { table, name } of constraints.toReversed())
      await tx.unsafe(`alter table ${table} drop constraint "${name}"`);
    await tx`truncate runs, tasks, attempts`;
    for (const { name } of indexes) await tx.unsafe(`drop index "${name}"`);
    await insertHistory(inner, { tasks });
    for (const { table, name, definition } of constraints)
      await tx.unsafe(`alter table ${table} add constraint "${name}" ${definition}`);
    for (const { definition } of indexes) await tx.unsafe(definition);
  });
  await sql`vacuum (analyze)`;
}
