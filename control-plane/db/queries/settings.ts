import { sql } from "drizzle-orm";
import type { Settings, Status } from "../../../protocol/settings.ts";
import type { RunState } from "../../../protocol/states.ts";
import type { Ctx } from "../../context.ts";
import { fleet } from "../schema/fleet.ts";
import { freshness } from "./freshness.ts";
import { heldDeletions } from "./held.ts";

type Values = Partial<typeof fleet.$inferInsert>;

/** The settings of the whole fleet. */
export async function readSettings({ db }: Pick<Ctx, "db">): Promise<Settings> {
  const [row] = await db.select().from(fleet);
  const { pausedAt, pauseReason, ...settings } = row!;
  return {
    upstreamParallel: settings.upstreamParallel,
    upstreamParallelOf: settings.upstreamParallelOf,
    keepRunsDays: settings.keepRunsDays,
    keepLogsDays: settings.keepLogsDays,
    keepAuditDays: settings.keepAuditDays,
    standingOrders: settings.standingOrders,
    openMetrics: settings.openMetrics,
    alertFailedRuns: settings.alertFailedRuns,
    alertAwayMinutes: settings.alertAwayMinutes,
    alertDiskPercent: settings.alertDiskPercent,
    alertDiskDays: settings.alertDiskDays,
    site: settings.site,
    paused: pausedAt && { at: pausedAt.toISOString(), reason: pauseReason },
  };
}

/** The fleet's identity, and since when there is one. */
export async function readIdentity({
  db,
}: Pick<Ctx, "db">): Promise<{ identity: string; begun: Date }> {
  const [row] = await db.select({ identity: fleet.identity, begun: fleet.createdAt }).from(fleet);
  return row!;
}

/** Changes settings; the row is locked until the transaction ends. */
export async function updateSettings(
  { db }: Pick<Ctx, "db">,
  change: (settings: Settings) => Values,
): Promise<void> {
  await db.select({ single: fleet.single }).from(fleet).for("update");
  const values = change(await readSettings({ db }));
  if (Object.keys(values).length > 0) await db.update(fleet).set(values);
}

/** Hosts whose agent polled within this many seconds are in contact. */
export const contactSeconds = 90;

/** What an operator wants to know first; times by the database's clock. */
export async function readStatus(ctx: Pick<Ctx, "db" | "now">): Promise<Status> {
  const { paused } = await readSettings(ctx);
  const now = ctx.now();
  const {
    rows: [counts],
  } = await ctx.db.execute<{
    enrolled: number;
    in_contact: number;
    drained: number;
    projects: number;
    paused: number;
    queued: number;
    leased: number;
  }>(sql`
    select
      (select count(*)::int from hosts where signing_key is not null and revoked_at is null) enrolled,
      (select count(*)::int from hosts where revoked_at is null
        and last_seen_at > ${now} - ${contactSeconds} * interval '1 second') in_contact,
      (select count(*)::int from hosts where drained_at is not null and revoked_at is null) drained,
      (select count(*)::int from projects) projects,
      (select count(*)::int from projects where paused_at is not null) paused,
      (select count(*)::int from tasks where state = 'queued') queued,
      (select count(*)::int from tasks where state = 'leased') leased`);
  const { rows: runs } = await ctx.db.execute<{ state: RunState; runs: number }>(sql`
    select state, count(*)::int runs from runs
    where created_at > ${now} - interval '1 day' and trigger <> 'dry-run' group by state`);
  const { rows: behind } = await ctx.db.execute<{
    project: string;
    host: string;
    generations: number;
  }>(sql`
    select p.name project, h.name host, (p.generation - r.generation)::int generations
    from replicas r join projects p on p.id = r.project_id join hosts h on h.id = r.host_id
    where r.generation < p.generation and h.revoked_at is null
    order by p.name, h.name limit 100`);
  const { rows: stale } = await ctx.db.execute<{
    project: string;
    host: string;
    fresh_at: string | null;
  }>(sql`
    select p.name project, h.name host, f.fresh_at
    from ${freshness(ctx)} f join replicas r using (project_id, host_id)
      join projects p on p.id = f.project_id join hosts h on h.id = f.host_id
    where f.is_stale and h.revoked_at is null and r.paused_at is null and p.paused_at is null
    order by f.fresh_at nulls first, p.name, h.name limit 100`);
  const { rows: held } = await ctx.db.execute<Status["held"][number]>(sql`
    select d.task, p.name project, h.name host, d.deletions, d.entries
    from ${heldDeletions} d
    join projects p on p.id = d.project_id join hosts h on h.id = d.host_id
    order by p.name, h.name limit 100`);
  return {
    paused,
    hosts: {
      enrolled: counts!.enrolled,
      inContact: counts!.in_contact,
      drained: counts!.drained,
    },
    projects: { all: counts!.projects, paused: counts!.paused },
    runs: Object.fromEntries(runs.map((row) => [row.state, row.runs])),
    queuedTasks: counts!.queued,
    runningTasks: counts!.leased,
    behind,
    stale: stale.map(({ project, host, fresh_at }) => ({
      project,
      host,
      freshAt: fresh_at === null ? null : new Date(fresh_at).toISOString(),
    })),
    held,
  };
}
