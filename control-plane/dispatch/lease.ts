import { and, eq, sql } from "drizzle-orm";
import type { PollAnswer } from "../../protocol/fleet.ts";
import {
  type HeartbeatAnswer,
  nothingDone,
  type Progress,
  type Result,
} from "../../protocol/report.ts";
import { AppError } from "../../protocol/errors.ts";
import { openTaskSigner } from "../auth/task-keys.ts";
import { signOrder, signTaskToken } from "../auth/task-tokens.ts";
import type { HostRow } from "../auth/agent-requests.ts";
import type { Ctx } from "../context.ts";
import { transactAtOnce } from "../db/at-once.ts";
import { type Blanks, compiled, prepared } from "../db/compiled.ts";
import { gather } from "../db/gather.ts";
import { hosts } from "../db/schema/hosts.ts";
import { projects } from "../db/schema/projects.ts";
import { replicas } from "../db/schema/replicas.ts";
import { runs } from "../db/schema/runs.ts";
import { tasks } from "../db/schema/tasks.ts";
import { isDueToReconcile, listsToCarry } from "./change-lists.ts";
import { finishAttempt } from "./finish.ts";
import { type Asking, type AskingText, askingText, cancelledTasks, waiting } from "./leasable.ts";
import { masterOfProject, type OrderFacts, syncSpec } from "./sync-spec.ts";

/** Seconds that a lease lasts without a heartbeat. */
export const leaseSeconds = 120;
/** Seconds between heartbeats: several may be lost before a lease is. */
const heartbeatSeconds = 10;

/**
 * Makes those wait who might take what is being taken. The poll may be held twice, once on a connection that is
 * dead: one lease for both. And two hosts must not each see the last place at an upstream, or at a master, free.
 */
const lockOutOthers = compiled<{ pollId: string; hostId: string }, unknown>(
  (_, { pollId, hostId }) => sql`/* lease lock */
    select pg_advisory_xact_lock(hashtextextended(${pollId}, 0)), (
      select pg_advisory_xact_lock(hashtext('mirrorfleet limits')) from fleet
      where exists (select from hosts where id = ${hostId} and roles @> '{master}')
        or exists (select from hosts where serves is not null))`,
);

/** Leases the task that has waited longest, by its project's priority, of those that may be leased; unless the poll has one. */
const leaseNext = compiled<AskingText, unknown>(
  ({ now }, asking) => sql`/* lease */
    with leased as (
      update tasks set state = 'leased', attempt = attempt + 1, poll_id = ${asking.pollId},
        lease_until = ${now()} + ${leaseSeconds} * interval '1 second',
        progress = null, started_at = coalesce(started_at, ${now()})
      where id = (
        select t.id ${waiting({ now }, asking)}
        order by t.queued_at - p.priority * interval '10 minutes', t.id
        limit 1 for update of t skip locked)
      and not exists (select from tasks held where held.poll_id = ${asking.pollId})
      returning id, attempt)
    insert into attempts (task_id, attempt, state, started_at)
    select id, attempt, 'running', ${now()} from leased`,
);

/** What a poll holds, with all that its order depends on; and what its host is to end. */
const readHeld = prepared(
  ({ db, now }, { hostId, pollId }: Blanks<Pick<Asking, "hostId" | "pollId">>) =>
    db
      .select({
        cancelled: cancelledTasks({ hostId }),
        host: hosts,
        task: tasks,
        run: runs,
        project: projects,
        replica: replicas,
        master: masterOfProject,
        lists: listsToCarry,
        reconcile: sql<boolean>`coalesce(${isDueToReconcile({ now })}, false)`,
        now: sql`${now()}`.mapWith(tasks.queuedAt),
      })
      .from(hosts)
      .leftJoin(
        tasks,
        and(eq(tasks.hostId, hosts.id), eq(tasks.pollId, pollId), sql`${tasks.state} = 'leased'`),
      )
      .leftJoin(runs, eq(runs.id, tasks.runId))
      .leftJoin(projects, eq(projects.id, tasks.projectId))
      .leftJoin(
        replicas,
        and(eq(replicas.projectId, tasks.projectId), eq(replicas.hostId, tasks.hostId)),
      )
      .where(eq(hosts.id, hostId))
      .prepare("held by a poll"),
);

/** Result of a task for which no order could be made. */
const noOrder: Result = {
  outcome: "fatal",
  ...nothingDone,
  message: "the control plane could not make the order; its log tells why",
  logBytes: 0,
};

async function signLease(
  ctx: Ctx,
  { facts, pollId }: { facts: OrderFacts; pollId: string },
): Promise<PollAnswer["lease"]> {
  const { id: taskId, hostId, attempt } = facts.task;
  const sync = await syncSpec(ctx, facts).catch((error: unknown) => {
    if (error instanceof AppError && error.code === "internal") return error;
    throw error;
  });
  if (sync instanceof AppError) {
    // It fails, and does not hold up the host's others.
    ctx.log.error({ err: sync, task: taskId }, "no order can be made for a task");
    await finishAttempt(ctx, { taskId, attempt, result: noOrder });
    return null;
  }
  const signed = { signer: await openTaskSigner(ctx), taskId, hostId, attempt };
  const [order, taskToken] = await Promise.all([
    signOrder(ctx, { ...signed, sync }),
    signTaskToken(ctx, { ...signed, lease: pollId }),
  ]);
  return { order, taskToken, leaseSeconds, heartbeatSeconds };
}

type Leased = Pick<PollAnswer, "lease" | "cancelled"> & { host: HostRow | undefined };

/**
 * Leases the host's next task and signs its order; null where nothing waits, or nothing may begin. `host` is as it is
 * now; undefined: there is none any more.
 */
export async function leaseTask(ctx: Ctx, { hostId, ...input }: Asking): Promise<Leased> {
  const asking = askingText({ ...input, hostId });
  const { pollId } = asking;
  const [, , [held]] = await transactAtOnce(ctx.db, (db) => [
    lockOutOthers({ db }, { pollId, hostId }),
    leaseNext({ ...ctx, db }, asking),
    readHeld({ ...ctx, db }, { hostId, pollId }),
  ]);
  const { cancelled = [], host } = held ?? {};
  if (!held?.task) return { lease: null, cancelled, host };
  return { lease: await signLease(ctx, { facts: held as OrderFacts, pollId }), cancelled, host };
}

type Beat = {
  taskId: string;
  attempt: number;
  lease?: string | undefined;
  progress: Progress | null;
};
type Extended = { id: string; attempt: number; poll_id: string; cancel: boolean };

/**
 * Extends the leases that nobody else is at. A crash of the database may take back the last moment's: that is a heartbeat
 * which was lost, and several may be.
 */
const extendFree = compiled<{ beats: string }, Extended>(
  ({ now }, { beats }) => sql<Extended>`/* heartbeats */
    with held as materialized (
      select t.id, given.progress
      from jsonb_to_recordset(${beats}::jsonb) given (id uuid, attempt int, lease uuid, progress jsonb)
      join tasks t on t.id = given.id and t.attempt = given.attempt
      where t.state = 'leased' and (given.lease is null or t.poll_id = given.lease)
      for no key update of t skip locked),
    extended as (
      update tasks set lease_until = ${now()} + ${leaseSeconds} * interval '1 second',
        progress = coalesce(held.progress, tasks.progress)
      from held where tasks.id = held.id
      returning tasks.id, attempt, poll_id, cancel_requested_at is not null cancel)
    select *, set_config('synchronous_commit', 'off', true) from extended`,
);

const extendOne = compiled<
  { taskId: string; attempt: number; lease: string | null; progress: string | null },
  Extended
>(
  ({ now }, { taskId, attempt, lease, progress }) => sql<Extended>`/* heartbeat */
    update tasks set lease_until = ${now()} + ${leaseSeconds} * interval '1 second',
      progress = coalesce(${progress}::jsonb, progress)
    where id = ${taskId} and attempt = ${attempt} and state = 'leased'
      and (${lease}::uuid is null or poll_id = ${lease})
    returning id, attempt, poll_id, cancel_requested_at is not null cancel`,
);

/** Those that come at a time; null: it is to be looked at by itself. */
const extendTogether = gather(async (ctx: Ctx, all: Beat[]): Promise<(Extended | null)[]> => {
  const beats = all.map(({ taskId: id, attempt, lease, progress }) => ({
    id,
    attempt,
    lease: lease ?? null,
    progress,
  }));
  const { rows } = await extendFree(ctx, { beats: JSON.stringify(beats) })
    .execute()
    .catch((err: unknown) => {
      ctx.log.warn({ err }, "heartbeats are taken one by one");
      return { rows: [] };
    });
  const extended = new Map(rows.map((row) => [row.id, row]));
  return all.map(({ taskId, attempt, lease }) => {
    const row = extended.get(taskId);
    const isIts = row?.attempt === attempt && (lease === undefined || row.poll_id === lease);
    return isIts ? row : null;
  });
});

/** Extends a lease and keeps the progress. @throws AppError `stale-attempt`. */
export async function heartbeat(ctx: Ctx, beat: Beat): Promise<HeartbeatAnswer> {
  const { taskId, attempt, lease = null } = beat;
  const progress = beat.progress && JSON.stringify(beat.progress);
  const extended =
    (await extendTogether(ctx, beat)) ??
    (await extendOne(ctx, { taskId, attempt, lease, progress }).execute()).rows[0];
  if (!extended)
    throw new AppError("stale-attempt", `attempt ${attempt} of this task holds no lease: end it`);
  return { leaseSeconds, heartbeatSeconds, cancel: extended.cancel };
}
