import { type SQL, sql } from "drizzle-orm";
import type { ChangeList } from "../../protocol/report.ts";
import type { Ctx } from "../context.ts";
import { atOnce } from "../db/at-once.ts";
import { compiled, type Given } from "../db/compiled.ts";
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
  { id, generation }: { id: Given<string>; generation: Given<number> },
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
  {
    project,
    runId,
    hosts,
  }: {
    project: { id: Given<string>; maxAttempts: Given<number> };
    runId: Given<string>;
    hosts: SQL;
  },
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
  for (const runId of left) await closeRunIfDone(ctx, { runId, reason }).execute();
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

const addTasksBehind = compiled<
  { projectId: string; maxAttempts: number; runId: string; generation: number },
  { left: string | null }
>(
  (made, { projectId, maxAttempts, runId, generation }) => sql<{
    left: string | null;
  }>`/* add tasks for hosts behind */
    ${addTasks(made, {
      project: { id: projectId, maxAttempts },
      runId,
      hosts: hostsBehind(made, { id: projectId, generation }),
    })}`,
);

const publishGeneration = compiled<
  {
    projectId: string;
    runId: string;
    generation: number;
    isFresh: boolean;
    freshAt: string | null;
    files: number | null;
    bytes: number | null;
  },
  unknown
>(({ now }, { projectId, runId, generation, isFresh, freshAt, files, bytes }) => {
  const fresh = sql`case when ${isFresh} then ${now()} else coalesce(${freshAt}::timestamptz, fresh_at) end`;
  return sql`/* publish */
    with project as (
      update projects set generation = ${generation}, unpublished = false, fresh_at = ${fresh},
        files = coalesce(${files}, files), bytes = coalesce(${bytes}, bytes)
      where id = ${projectId}),
    master as (
      update replicas set generation = ${generation}, synced_at = ${now()}, synced_root = root, fresh_at = ${fresh}
      where project_id = ${projectId} and role = 'master')
    update runs set state = 'distributing', generation = ${generation}
    where id = ${runId} and state = 'running'`;
});

/** Makes a generation what the project and its master have, and the run that published or carries it one that distributes. */
const publish = (
  ctx: Ctx,
  {
    pulled: { size, freshAt },
    ...generation
  }: { projectId: string; runId: string; generation: number; pulled: Pulled },
) =>
  publishGeneration(ctx, {
    ...generation,
    isFresh: freshAt === "now",
    freshAt: freshAt === "now" ? null : (freshAt?.toISOString() ?? null),
    files: size?.files ?? null,
    bytes: size?.bytes ?? null,
  });

/**
 * After a successful pull: publishes a generation where something changed, and makes one task for each
 * FTP host that is behind. The caller holds the project's row.
 */
export async function distribute(
  ctx: Ctx,
  { project, run, pulled }: { project: ProjectRow; run: Pick<RunRow, "id">; pulled: Pulled },
): Promise<void> {
  const { id: projectId, maxAttempts } = project;
  const { id: runId } = run;
  const { changed, changeList } = pulled;
  const news = changed || changeList !== null || project.unpublished || project.generation === 0;
  const generation = project.generation + (news ? 1 : 0);
  if (changeList) await keepChangeList(ctx, { projectId, generation, changeList });
  const [{ rows }] = await atOnce([
    addTasksBehind(ctx, { projectId, maxAttempts, runId, generation }),
    ...(news ? [keepFreshness(ctx, { projectId })] : []),
    publish(ctx, { projectId, runId, generation, pulled }),
    closeRunIfDone(ctx, { runId, ...(!news && { reason: "unchanged" }) }),
  ]);
  await closeLeft(ctx, rows);
}

/**
 * Marks FTP hosts' replicas as carrying the generation that their tasks' runs published: of those in `ended`, a table of
 * `run_id, host_id, role, state, scanned`.
 */
export const advanceReplicas = ({ now }: Pick<Ctx, "now">, { ended }: { ended: SQL }) => sql`
  update replicas set
    generation = greatest(replicas.generation, carried.generation),
    synced_at = ${now()}, synced_root = root,
    fresh_at = greatest(replicas.fresh_at, ${generationFreshAt({
      projectId: sql`carried.project_id`,
      generation: sql`carried.generation`,
    })}),
    scanned_at = case when ended.scanned then ${now()} else scanned_at end
  from ${ended} ended join runs carried on carried.id = ended.run_id
  where ended.role = 'ftp' and ended.state = 'succeeded'
    and replicas.project_id = carried.project_id and replicas.host_id = ended.host_id`;
