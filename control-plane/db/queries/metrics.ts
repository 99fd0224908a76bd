import { type SQL, sql } from "drizzle-orm";
import type { Ctx } from "../../context.ts";
import { freshness } from "./freshness.ts";
import { heldDeletions } from "./held.ts";
import { isPull } from "./pulls.ts";
import { contactSeconds } from "./settings.ts";

type Kind = "gauge" | "counter";
/** A query whose rows carry labels, and in further columns the values of metrics; null: none. */
export type MetricSource = {
  rows: SQL;
  labels: string[];
  /** Column, kind, help. */
  metrics: Record<string, [column: string, kind: Kind, help: string]>;
};

const replicas = (ctx: Pick<Ctx, "now">): MetricSource => ({
  rows: sql`
    select p.name project, h.name host, f.behind,
      case when f.fresh_at is null then 'Infinity'
        else greatest(0, extract(epoch from ${ctx.now()} - f.fresh_at)) end::float8 age,
      case when r.paused_at is not null then 1 end paused
    from ${freshness(ctx)} f
    join replicas r on r.project_id = f.project_id and r.host_id = f.host_id
    join projects p on p.id = f.project_id
    join hosts h on h.id = f.host_id and h.revoked_at is null
    order by p.name, h.name`,
  labels: ["project", "host"],
  metrics: {
    replica_age_seconds: [
      "age",
      "gauge",
      "Time since a replica was last known to equal its source; +Inf: never",
    ],
    replica_behind_generations: [
      "behind",
      "gauge",
      "Published states of the project that a replica lacks",
    ],
    replica_paused: ["paused", "gauge", "1 for each replica that is paused"],
  },
});

const projects = (): MetricSource => ({
  rows: sql`
    select p.name project, p.fresh_target_seconds target, p.files, p.bytes,
      (p.paused_at is not null)::int paused, pull.ended, pull.seconds, pull.received, pull.changes
    from projects p
    left join lateral (
      select extract(epoch from t.finished_at)::float8 ended,
        (t.result ->> 'seconds')::float8 seconds, (t.result ->> 'changes')::bigint changes,
        (t.result -> 'stats' ->> 'receivedBytes')::bigint received
      from tasks t
      where t.project_id = p.id and ${isPull} and t.state = 'succeeded'
      order by t.queued_at desc limit 1) pull on true
    order by p.name`,
  labels: ["project"],
  metrics: {
    project_freshness_target_seconds: [
      "target",
      "gauge",
      "Age up to which a project's replicas are fresh",
    ],
    project_paused: ["paused", "gauge", "Is the project paused?"],
    project_files: ["files", "gauge", "Entries of the tree at its last scan"],
    project_bytes: ["bytes", "gauge", "Size of the tree's files at its last scan"],
    last_pull_timestamp_seconds: ["ended", "gauge", "When the last successful pull ended"],
    last_pull_duration_seconds: ["seconds", "gauge", "How long the last successful pull took"],
    last_pull_received_bytes: [
      "received",
      "gauge",
      "What the last successful pull received; absent where it had nothing to do",
    ],
    last_pull_changes: ["changes", "gauge", "Paths that the last successful pull changed"],
  },
});

const hosts = (ctx: Pick<Ctx, "now">): MetricSource => ({
  rows: sql`
    select h.name host, h.clock_skew_seconds skew, (h.drained_at is not null)::int drained,
      extract(epoch from ${ctx.now()} - h.last_seen_at)::float8 unheard,
      coalesce(h.last_seen_at > ${ctx.now()} - ${contactSeconds} * interval '1 second', false)::int contact,
      (select count(*) from tasks t where t.host_id = h.id and t.state = 'leased') running,
      queue.waiting, queue.oldest
    from hosts h
    cross join lateral (
      select count(*) waiting,
        coalesce(extract(epoch from ${ctx.now()} - min(t.queued_at)), 0)::float8 oldest
      from tasks t where t.host_id = h.id and t.state = 'queued') queue
    where h.revoked_at is null and h.signing_key is not null
    order by h.name`,
  labels: ["host"],
  metrics: {
    agent_in_contact: ["contact", "gauge", `Did the agent poll within ${contactSeconds} seconds?`],
    agent_unheard_seconds: ["unheard", "gauge", "Time since the agent's last poll"],
    host_drained: ["drained", "gauge", "Is the host drained?"],
    host_clock_skew_seconds: ["skew", "gauge", "How far the host's clock is ahead"],
    tasks_running: ["running", "gauge", "Tasks that the host works on"],
    tasks_waiting: ["waiting", "gauge", "Tasks that wait for the host"],
    oldest_waiting_task_age_seconds: [
      "oldest",
      "gauge",
      "How long the oldest task that waits for the host has waited; 0: none does",
    ],
  },
});

const hostVersions = (): MetricSource => ({
  rows: sql`
    select name host, coalesce(agent_version, '') agent, coalesce(facts ->> 'rsyncVersion', '') rsync, 1 one
    from hosts where revoked_at is null and signing_key is not null order by name`,
  labels: ["host", "agent", "rsync"],
  metrics: { host_info: ["one", "gauge", "Versions of a host's agent and rsync"] },
});

const disks = (): MetricSource => ({
  rows: sql`
    select h.name host, d.path root, d."totalBytes" total, d."freeBytes" free,
      nullif(d."totalInodes", 0) inodes, case when d."totalInodes" > 0 then d."freeInodes" end free_inodes
    from hosts h cross join lateral jsonb_to_recordset(h.facts -> 'roots')
      d(path text, "totalBytes" bigint, "freeBytes" bigint, "totalInodes" bigint, "freeInodes" bigint)
    where h.revoked_at is null and h.facts is not null
    order by h.name, d.path`,
  labels: ["host", "root"],
  metrics: {
    disk_total_bytes: ["total", "gauge", "Size of the file system of a mirror root"],
    disk_free_bytes: ["free", "gauge", "Room that the agent's user has below a mirror root"],
    disk_total_inodes: ["inodes", "gauge", "Inodes of the file system of a mirror root"],
    disk_free_inodes: ["free_inodes", "gauge", "Inodes that are free below a mirror root"],
  },
});

const runTotals = (): MetricSource => ({
  rows: sql`
    select p.name project, s.state, coalesce(t.runs, 0) runs
    from projects p cross join (values ('succeeded'), ('failed'), ('cancelled'), ('skipped')) s(state)
    left join run_totals t on t.project_id = p.id and t.state = s.state
    order by p.name, s.state`,
  labels: ["project", "state"],
  metrics: { runs_total: ["runs", "counter", "Runs that have ended, by how; without dry runs"] },
});

const activeRuns = (): MetricSource => ({
  rows: sql`
    select s.state, count(r.id) runs
    from (values ('queued'), ('running'), ('distributing')) s(state)
    left join runs r on r.state = s.state and r.state in ('queued', 'running', 'distributing')
    group by s.state order by s.state`,
  labels: ["state"],
  metrics: { runs_active: ["runs", "gauge", "Runs under way"] },
});

const attemptTotals = (): MetricSource => ({
  rows: sql`
    select h.name host, t.outcome, sum(t.attempts) attempts
    from attempt_totals t join hosts h on h.id = t.host_id
    where t.outcome <> 'lost' group by h.name, t.outcome order by h.name, t.outcome`,
  labels: ["host", "outcome"],
  metrics: {
    task_attempts_total: [
      "attempts",
      "counter",
      "Attempts to sync that have ended, by outcome: ok and warning are successes; without dry runs",
    ],
  },
});

const hostTotals = (): MetricSource => ({
  rows: sql`
    select h.name host, sum(t.seconds)::float8 seconds, sum(t.received_bytes) received,
      coalesce(sum(t.attempts) filter (where t.outcome = 'lost'), 0) lost
    from attempt_totals t join hosts h on h.id = t.host_id group by h.name order by h.name`,
  labels: ["host"],
  metrics: {
    sync_seconds_total: ["seconds", "counter", "Time that attempts to sync took"],
    received_bytes_total: ["received", "counter", "Bytes that syncs received"],
    leases_lost_total: ["lost", "counter", "Leases that ran out: the agent was not heard"],
  },
});

const held = (): MetricSource => ({
  rows: sql`
    select p.name project, h.name host, d.deletions from ${heldDeletions} d
    join projects p on p.id = d.project_id join hosts h on h.id = d.host_id
    order by p.name, h.name`,
  labels: ["project", "host"],
  metrics: { held_deletions: ["deletions", "gauge", "Deletions that wait for an operator"] },
});

const alerts = (): MetricSource => ({
  rows: sql`
    select condition, count(*) open from alerts where closed_at is null
    group by condition order by condition`,
  labels: ["condition"],
  metrics: { alerts_open: ["open", "gauge", "Alerts that go on; absent: none of that condition"] },
});

const alertMessages = (): MetricSource => ({
  rows: sql`
    select r.name receiver, count(m.id) waiting from alert_receivers r
    left join alert_messages m on m.receiver_id = r.id
      and m.delivered_at is null and m.given_up_at is null
    group by r.name order by r.name`,
  labels: ["receiver"],
  metrics: {
    alert_messages_waiting: ["waiting", "gauge", "Messages that a receiver has yet to take"],
  },
});

const fleet = (): MetricSource => ({
  rows: sql`
    select (paused_at is not null)::int paused,
      (select count(*) from hosts where signing_key is not null and revoked_at is null) enrolled
    from fleet`,
  labels: [],
  metrics: {
    fleet_paused: ["paused", "gauge", "Is the whole fleet paused?"],
    agents_enrolled: ["enrolled", "gauge", "Hosts that have an agent"],
  },
});

/** All metrics that come from a query. */
export const metricSources = (ctx: Pick<Ctx, "now">): MetricSource[] => [
  fleet(),
  projects(),
  replicas(ctx),
  held(),
  alerts(),
  alertMessages(),
  runTotals(),
  activeRuns(),
  hosts(ctx),
  hostVersions(),
  disks(),
  attemptTotals(),
  hostTotals(),
];
