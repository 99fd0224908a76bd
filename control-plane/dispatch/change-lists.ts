import { and, desc, eq, gt, isNull, lte, or, sql } from "drizzle-orm";
import type { Carry } from "../../protocol/order.ts";
import type { ChangeList } from "../../protocol/report.ts";
import type { Ctx } from "../context.ts";
import { insertAuditEvent } from "../db/queries/audit-events.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import { hosts } from "../db/schema/hosts.ts";
import { projects } from "../db/schema/projects.ts";
import { changeLists, replicas } from "../db/schema/replicas.ts";
import { runs } from "../db/schema/runs.ts";
import { attempts, tasks } from "../db/schema/tasks.ts";

/** Generations whose lists an order may name; the master keeps as many. */
const keptLists = 100;
/** Beyond this share of the tree a scan is as quick. */
const largestShare = 1 / 4;
/** Entries that lists may have however small the tree is. */
const alwaysFew = 1000;

/** Is an FTP host's last comparison of the whole tree too long ago? Spread over the last quarter of the interval. */
export const isDueToReconcile = ({ now }: Pick<Ctx, "now">) => sql`
  ${replicas.scannedAt} + ${projects.reconcileDays} * interval '1 day'
    * (1 - 0.25 * (hashtext(${replicas.projectId}::text || ${replicas.hostId}::text) & 1023) / 1023)
  < ${now()}`;

/** Keeps what the master says of the list of the generation that is being published. */
export async function keepChangeList(
  { db }: Pick<Ctx, "db">,
  {
    projectId,
    generation,
    changeList,
  }: { projectId: string; generation: number; changeList: ChangeList },
): Promise<void> {
  if (changeList.generation !== generation) return;
  const { digest, entries } = changeList;
  await db
    .insert(changeLists)
    .values({ projectId, generation, digest, entries })
    .onConflictDoUpdate({
      target: [changeLists.projectId, changeLists.generation],
      set: { digest, entries },
    });
  await db
    .delete(changeLists)
    .where(
      and(
        eq(changeLists.projectId, projectId),
        lte(changeLists.generation, generation - keptLists),
      ),
    );
}

/** A published generation's change list, as the control plane knows it. */
export type ListedChanges = { generation: number; digest: string; entries: number };

/** The lists between a replica's generation and its run's, in order; for queries that join both. */
export const listsToCarry = sql<ListedChanges[]>`(
  select coalesce(json_agg(json_build_object('generation', l.generation, 'digest', l.digest,
    'entries', l.entries) order by l.generation), '[]')
  from change_lists l where l.project_id = ${replicas.projectId}
    and l.generation > ${replicas.generation} and l.generation <= ${runs.generation})`;

/** What an FTP host brings its tree to, and the lists that lead there; none where exactness is in doubt. */
export function carryOf({
  project,
  run,
  replica,
  lists,
  reconcile,
}: {
  project: ProjectRow;
  run: typeof runs.$inferSelect;
  replica: typeof replicas.$inferSelect;
  lists: ListedChanges[];
  /** Its last comparison of the whole tree is too long ago. */
  reconcile: boolean;
}): Carry {
  const generation = run.generation!;
  const from = Math.min(replica.generation, generation);
  const scan = { generation, from, lists: null, files: project.files, reconcile: false };
  if (from === 0 || replica.scannedAt === null || replica.root !== replica.syncedRoot) return scan;
  const entries = lists.reduce((sum, list) => sum + list.entries, 0);
  if (
    lists.length < generation - from ||
    entries > Math.max(alwaysFew, project.files * largestShare)
  )
    return scan;
  return {
    ...scan,
    lists: lists.map((list) => ({ generation: list.generation, digest: list.digest })),
    reconcile,
  };
}

/** Did the master pull while this attempt ran? Then its tree was between two generations. */
async function masterPulledMeanwhile(
  { db }: Pick<Ctx, "db">,
  { task }: { task: typeof tasks.$inferSelect },
): Promise<boolean> {
  const [own] = await db
    .select({ startedAt: attempts.startedAt })
    .from(attempts)
    .where(and(eq(attempts.taskId, task.id), eq(attempts.attempt, task.attempt)));
  // Pulls of a project come one after another: where the latest had ended before, all had.
  const latest = db
    .select({ id: tasks.id })
    .from(tasks)
    .where(
      and(
        eq(tasks.projectId, task.projectId),
        eq(tasks.role, "master"),
        eq(tasks.dryRun, false),
        gt(tasks.attempt, 0),
      ),
    )
    .orderBy(desc(tasks.queuedAt))
    .limit(1);
  const [pull] = await db
    .select({ taskId: attempts.taskId })
    .from(attempts)
    .where(
      and(
        eq(attempts.taskId, latest),
        or(isNull(attempts.finishedAt), gt(attempts.finishedAt, own!.startedAt)),
      ),
    )
    .limit(1);
  return pull !== undefined;
}

/** Makes an event of what a host's tree had become beside its master's, unless the master's changed meanwhile. */
export async function reportDrift(
  ctx: Pick<Ctx, "db" | "now">,
  { task }: { task: typeof tasks.$inferSelect },
): Promise<void> {
  const drift = task.result?.drift;
  if (!drift || (await masterPulledMeanwhile(ctx, { task }))) return;
  const [names] = await ctx.db
    .select({ project: projects.name, host: hosts.name })
    .from(projects)
    .innerJoin(hosts, eq(hosts.id, task.hostId))
    .where(eq(projects.id, task.projectId));
  await insertAuditEvent(ctx, {
    actor: `host ${names!.host}`,
    action: "replica.drift",
    target: `replicas/${names!.project}/${names!.host}`,
    before: null,
    after: drift,
  });
}
