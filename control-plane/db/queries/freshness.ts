import { type SQL, sql } from "drizzle-orm";
import type { Ctx } from "../../context.ts";
import { compiled } from "../compiled.ts";
import { projects } from "../schema/projects.ts";
import { replicas } from "../schema/replicas.ts";

/**
 * When a project's source was last known to be what is published. With a schedule: the start of the last
 * pull that saw it. Without one nobody looks, and it is so until a trigger says otherwise: the source has
 * news since the first one whose pull has not succeeded. An undo, a dry run, and what hosts did by themselves are none.
 */
const publishedFreshAt = ({ now }: Pick<Ctx, "now">) => sql`case
  when ${projects.schedule} is not null or ${projects.freshAt} is null then ${projects.freshAt}
  else greatest(${projects.freshAt}, coalesce(
    (select min(pull.created_at) from runs pull
      where pull.project_id = ${projects.id} and pull.created_at > ${projects.freshAt}
        and pull.generation is null and pull.state <> 'skipped'
        and pull.trigger not in ('undo', 'standing', 'dry-run')),
    ${projects.pausedAt}, ${now()}))
  end`;

/** A replica's tree is the published one, and lies where it is to be. */
const isCurrent = sql`(${replicas.generation} = ${projects.generation}
  and ${replicas.syncedRoot} is not distinct from ${replicas.root})`;

/**
 * The last moment at which a replica was known to be what its project's source had; null: never. For
 * queries on `replicas` and `projects`. What does not change costs FTP hosts no sync: those that carry the
 * published generation are as fresh as it is, others as of when they last did.
 */
export const freshAt = (ctx: Pick<Ctx, "now">): SQL<Date | null> =>
  sql`greatest(${replicas.freshAt},
    case when ${isCurrent} then ${publishedFreshAt(ctx)} end)`.mapWith(replicas.freshAt);

/** True where that is longer ago than the project's target. */
export const isStale = (ctx: Pick<Ctx, "now">): SQL<boolean> =>
  sql<boolean>`coalesce(${freshAt(ctx)} <
    ${ctx.now()} - ${projects.freshTargetSeconds} * interval '1 second', true)`;

/** A table of it, to join: `project_id, host_id, fresh_at, is_stale, target_seconds, behind`. */
export const freshness = (ctx: Pick<Ctx, "now">): SQL => sql`(
  select ${replicas.projectId}, ${replicas.hostId}, ${freshAt(ctx)} fresh_at,
    ${isStale(ctx)} is_stale, ${projects.freshTargetSeconds} target_seconds,
    greatest(0, ${projects.generation} - ${replicas.generation}) behind
  from ${replicas} join ${projects} on ${projects.id} = ${replicas.projectId})`;

/**
 * Notes how fresh replicas are that are about to carry the published generation no longer: what is newer
 * says nothing of them. The caller holds the project's row.
 */
export const keepFreshness = (
  ctx: Pick<Ctx, "db" | "now">,
  { projectId, hostId = null }: { projectId: string; hostId?: string | null },
) => keep(ctx, { projectId, hostId });

const keep = compiled<{ projectId: string; hostId: string | null }, unknown>(
  (made, { projectId, hostId }) => sql`/* keep freshness */
    update replicas set fresh_at = f.fresh_at from ${freshness(made)} f
    where replicas.project_id = ${projectId} and f.project_id = ${projectId}
      and f.host_id = replicas.host_id
      and (${hostId}::uuid is null or replicas.host_id = ${hostId})`,
);

/**
 * When the source was last known to be what a generation is that is not the latest any more: the start of
 * the last pull that saw it; of a hosted project, of the run that published it. For an FTP host that is
 * slower than the schedule.
 */
export const generationFreshAt = ({
  projectId,
  generation,
}: {
  projectId: SQL;
  generation: SQL;
}): SQL => {
  const carried = sql`run.project_id = ${projectId} and run.generation = ${generation} and run.trigger <> 'undo'`;
  // Months of runs that found nothing new have one generation: the newest comes first, and is enough.
  return sql`coalesce(
    (select pull.started_at from runs run
      join tasks task on task.run_id = run.id and task.role = 'master' and task.state = 'succeeded'
      join attempts pull on pull.task_id = task.id and pull.attempt = task.attempt
      where ${carried} order by run.created_at desc limit 1),
    (select run.created_at from runs run where ${carried} order by run.created_at limit 1))`;
};
