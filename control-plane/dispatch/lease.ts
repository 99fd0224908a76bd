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
import { hosts } from "../db/schema/hosts.ts";
import { projects } from "../db/schema/projects.ts";
import { replicas } from "../db/schema/replicas.ts";
import { runs } from "../db/schema/runs.ts";
import { tasks } from "../db/schema/tasks.ts";
import { isDueToReconcile, listsToCarry } from "./change-lists.ts";
import { finishAttempt } from "./finish.ts";
import { type Asking, cancelledTasks, waiting } from "./leasable.ts";
import { masterOfProject, type OrderFacts, syncSpec } from "./sync-spec.ts";

/** Seconds that a lease lasts without a heartbeat. */
export const leaseSeconds = 120;
/** Seconds between heartbeats: several may be lost before a lease is. */
const heartbeatSeconds = 10;

/**
 * Makes those wait who might take what is being taken. The poll may be held twice, once on a connection that is
 * dead: one lease for both. And two hosts must not each see the last place at an upstream, or at a master, free.
 */
const lockOutOthers = ({ pollId, host }: { pollId: string; host: HostRow }) => sql`/* lease lock */
  select pg_advisory_xact_lock(hashtextextended(${pollId}, 0)), (
    select pg_advisory_xact_lock(hashtext('mirrorfleet limits')) from fleet
    where ${host.roles.includes("master")} or exists (select from hosts where serves is not null))`;

/** Leases the task that has waited longest, by its project's priority, of those that may be leased; unless the poll has one. */
const leaseNext = (ctx: Pick<Ctx, "now">, asking: Asking) => sql`/* lease */
  with leased as (
    update tasks set state = 'leased', attempt = attempt + 1, poll_id = ${asking.pollId},
      lease_until = ${ctx.now()} + ${leaseSeconds} * interval '1 second',
      progress = null, started_at = coalesce(started_at, ${ctx.now()})
    where id = (
      select t.id ${waiting(ctx, asking)}
      order by t.queued_at - p.priority * interval '10 minutes', t.id
      limit 1 for update of t skip locked)
    and not exists (select from tasks held where held.poll_id = ${asking.pollId})
    returning id, attempt)
  insert into attempts (task_id, attempt, state, started_at)
  select id, attempt, 'running', ${ctx.now()} from leased`;

/** What a poll holds, with all that its order depends on; and what its host is to end. */
const readHeld = ({ db, now }: Pick<Ctx, "db" | "now">, { hostId, pollId }: Asking) =>
  db
    .select({
      cancelled: cancelledTasks({ hostId }),
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
    .prepare("held by a poll");

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

/** Leases the host's next task and signs its order; null where nothing waits, or nothing may begin. */
export async function leaseTask(
  ctx: Ctx,
  { host, ...input }: { host: HostRow } & Omit<Asking, "hostId">,
): Promise<Pick<PollAnswer, "lease" | "cancelled">> {
  const asking = { ...input, hostId: host.id };
  const { pollId } = asking;
  const [, , [held]] = await transactAtOnce(ctx.db, (tx) => [
    tx.execute(lockOutOthers({ pollId, host })),
    tx.execute(leaseNext(ctx, asking)),
    readHeld({ ...ctx, db: tx }, asking),
  ]);
  if (!held?.task) return { lease: null, cancelled: held?.cancelled ?? [] };
  const { cancelled, ...read } = held;
  const facts = { ...(read as Omit<OrderFacts, "host">), host };
  return { lease: await signLease(ctx, { facts, pollId }), cancelled };
}

/** Extends a lease and keeps the progress. @throws AppError `stale-attempt`. */
export async function heartbeat(
  ctx: Ctx,
  {
    taskId,
    attempt,
    lease,
    progress,
  }: { taskId: string; attempt: number; lease?: string | undefined; progress: Progress | null },
): Promise<HeartbeatAnswer> {
  const {
    rows: [extended],
  } = await ctx.db.execute<{ cancel: boolean }>(sql`/* heartbeat */
    update tasks set lease_until = ${ctx.now()} + ${leaseSeconds} * interval '1 second',
      progress = coalesce(${progress && JSON.stringify(progress)}::jsonb, progress)
    where id = ${taskId} and attempt = ${attempt} and state = 'leased'
      and (${lease ?? null}::uuid is null or poll_id = ${lease ?? null})
    returning cancel_requested_at is not null cancel`);
  if (!extended)
    throw new AppError("stale-attempt", `attempt ${attempt} of this task holds no lease: end it`);
  return { leaseSeconds, heartbeatSeconds, cancel: extended.cancel };
}
