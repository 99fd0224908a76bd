import { type SQL, sql } from "drizzle-orm";
import type { ChangeList } from "../../protocol/report.ts";
import type { Ctx } from "../context.ts";
import { atOnce } from "../db/at-once.ts";
import { generationFreshAt, keepFreshness } from "../db/queries/freshness.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import type { runs } from "../db/schema/runs.ts";
import { isDueToReconcile, keepChangeList } from "./change-lists.ts";
import { closeRunIfDone } from "./close-run.ts";
import { channel } from "./wake.ts";

type RunRow = typeof runs.$inferSelect;

/**
 * FTP hosts that have an agent, are not paused for the project, and lack its generation or are to be reconciled: a query
 * of their ids.
 */
export const hostsBehind = (
  ctx: Pick<Ctx, "now">,
  { id, generation }: { id: string; generation: number },
) => sql`
  select replicas.host_id id from replicas
  join hosts on hosts.id = replicas.host_id join projects on projects.id = replicas.project_id
  where replicas.project_id = ${id} and replicas.role = 'ftp' and replicas.paused_at is null
    and (replicas.generation < ${generation} or ${isDueToReconcile(ctx)})
    and hosts.signing_key is not null and hosts.revoked_at is null`;

/**
 * Makes a run's tasks on FTP hosts, of which `hosts` is a query, and wakes these; a task that waits already is widened:
 * one of an earlier run becomes this run's. Answers the runs that may have none left. The caller holds the project's row.
 */
export const addTasks = (
  { now }: Pick<Ctx, "now">,
  { project, runId, hosts }: { project: ProjectRow; runId: string; hosts: SQL },
): SQL<{ left: string | null }> => sql`
  with wanted as (${hosts}),
  waiting as (
    select t.id, t.run_id, t.host_id from tasks t join wanted on wanted.id = t.host_id
    where t.project_id = ${project.id} and t.role = 'ftp' and t.state = 'queued'
    for update of t skip locked),
  -- One a host: another may wait beside it to be tried again.
  chosen as (select distinct on (host_id) * from waiting),
  widened as (
    update tasks set run_id = ${runId} from chosen where tasks.id = chosen.id),
  added as (
    insert into tasks (run_id, project_id, host_id, role, state, max_attempts, not_before, queued_at)
    select ${runId}::uuid, ${project.id}::uuid, id, 'ftp', 'queued', ${project.maxAttempts}::int, ${now()}, ${now()}
    from wanted where id not in (select host_id from chosen))
  select chosen.run_id "left", pg_notify(${channel}, wanted.id::text)
  from wanted left join chosen on chosen.host_id = wanted.id`;

/** Closes the runs of which another took all tasks that waited. */
export async function closeLeft(ctx: Ctx, rows: { left: string | null }[]): Promise<void> {
  const reason = "a later run took its waiting hosts over";
  const left = new Set(rows.map((row) => row.left).filter((id) => id !== null));
  for (const runId of left) await closeRunIfDone(ctx, { runId, reason });
}

/**
 * What a pull brought. `size`: of the tree; null where it was not scanned. `freshAt`: when the
 * source had that; null where it is not what the source has.
 */
type Pulled = {
  changed: boolean;
  changeList: ChangeList | null;
  size: { files: number; bytes: number } | null;
  freshAt: Date | "now" | null;
};

/** Makes a generation what the project and its master have, and the run that published or carries it one that distributes. */
const publish = (
  { db, now }: Ctx,
  {
    projectId,
    runId,
    generation,
    pulled: { size, freshAt },
  }: { projectId: string; runId: string; generation: number; pulled: Pulled },
) => {
  const date = freshAt === "now" ? null : (freshAt?.toISOString() ?? null);
  const fresh = sql`case when ${freshAt === "now"} then ${now()} else coalesce(${date}::timestamptz, fresh_at) end`;
  return db.execute(sql`/* publish */
    with project as (
      update projects set generation = ${generation}, unpublished = false, fresh_at = ${fresh},
        files = coalesce(${size?.files ?? null}, files), bytes = coalesce(${size?.bytes ?? null}, bytes)
      where id = ${projectId}),
    master as (
      update replicas set generation = ${generation}, synced_at = ${now()}, synced_root = root, fresh_at = ${fresh}
      where project_id = ${projectId} and role = 'master')
    update runs set state = 'distributing', generation = ${generation}
    where id = ${runId} and state = 'running'`);
};

/**
 * After a successful pull: publishes a generation where something changed, and makes one task for each
 * FTP host that is behind. The caller holds the project's row.
 */
export async function distribute(
  ctx: Ctx,
  { project, run, pulled }: { project: ProjectRow; run: RunRow; pulled: Pulled },
): Promise<void> {
  const { id: projectId } = project;
  const { id: runId } = run;
  const { changed, changeList } = pulled;
  const news = changed || changeList !== null || project.unpublished || project.generation === 0;
  const generation = project.generation + (news ? 1 : 0);
  const hosts = hostsBehind(ctx, { id: projectId, generation });
  if (changeList) await keepChangeList(ctx, { projectId, generation, changeList });
  const [{ rows }] = await atOnce([
    ctx.db.execute<{ left: string | null }>(sql`/* add tasks for hosts behind */
      ${addTasks(ctx, { project, runId, hosts })}`),
    ...(news ? [keepFreshness(ctx, { projectId })] : []),
    publish(ctx, { projectId, runId, generation, pulled }),
    closeRunIfDone(ctx, { runId, ...(!news && { reason: "unchanged" }) }),
  ]);
  await closeLeft(ctx, rows);
}

/** Marks an FTP host's replica as carrying the generation that the task's run published. */
export const advanceReplica = (
  ctx: Pick<Ctx, "db" | "now">,
  {
    task: { runId, hostId },
    scanned,
  }: { task: { runId: string; hostId: string }; scanned: boolean },
) =>
  ctx.db.execute(sql`/* advance replica */
    update replicas set
      generation = greatest(replicas.generation, carried.generation),
      synced_at = ${ctx.now()}, synced_root = root,
      fresh_at = greatest(fresh_at, ${generationFreshAt({
        projectId: sql`carried.project_id`,
        generation: sql`carried.generation`,
      })}),
      scanned_at = case when ${scanned} then ${ctx.now()} else scanned_at end
    from runs carried
    where carried.id = ${runId} and replicas.project_id = carried.project_id
      and replicas.host_id = ${hostId}`);
