import { and, eq, isNotNull, sql } from "drizzle-orm";
import type { PollAnswer } from "../../protocol/fleet.ts";
import type { Instance } from "../../protocol/instance.ts";
import type { SyncSpec } from "../../protocol/order.ts";
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
import { attempts, tasks } from "../db/schema.ts";
import { finishAttempt } from "./finish.ts";
import { leasable } from "./leasable.ts";
import { syncSpec } from "./sync-spec.ts";

/** Seconds that a lease lasts without a heartbeat. */
export const leaseSeconds = 120;
/** Seconds between heartbeats: several may be lost before a lease is. */
const heartbeatSeconds = 10;

type TaskRow = typeof tasks.$inferSelect;

type Asking = {
  host: HostRow;
  pollId: string;
  busy: string[];
  instance?: Instance | undefined;
};

/** The lease that an earlier, unanswered poll of the same id took. */
async function leaseOfPoll(ctx: Ctx, { hostId, pollId }: { hostId: string; pollId: string }) {
  const [task] = await ctx.db
    .select()
    .from(tasks)
    .where(and(eq(tasks.pollId, pollId), eq(tasks.hostId, hostId), eq(tasks.state, "leased")));
  return task;
}

/** The task of a host that has waited longest, by its project's priority, of those that may be leased. */
const nextTask = (ctx: Ctx, { host, busy, instance }: Omit<Asking, "pollId">) => sql`(
  select t.id ${leasable(ctx, { hostId: host.id })}
    ${instance === undefined ? sql`` : sql`and h.instance = ${instance.id}`}
    ${busy.length === 0 ? sql`` : sql`and p.name <> all(string_to_array(${busy.join(",")}, ','))`}
  order by t.queued_at - p.priority * interval '10 minutes', t.id
  limit 1
  for update of t skip locked)`;

async function leaseWaitingTask(
  ctx: Ctx,
  { pollId, ...asking }: Asking,
): Promise<TaskRow | undefined> {
  const { host } = asking;
  const now = ctx.now();
  // Two hosts must not each see the last place at an upstream, or at a master, free.
  await ctx.db.execute(
    sql`select pg_advisory_xact_lock(hashtext('mirrorfleet limits')) from fleet
      where ${host.roles.includes("master")} or exists (select from hosts where serves is not null)`,
  );
  const [task] = await ctx.db
    .update(tasks)
    .set({
      state: "leased",
      attempt: sql`${tasks.attempt} + 1`,
      leaseUntil: sql`${now} + ${leaseSeconds} * interval '1 second'`,
      pollId,
      progress: null,
      startedAt: sql`coalesce(${tasks.startedAt}, ${now})`,
    })
    .where(sql`${tasks.id} = ${nextTask(ctx, asking)}`)
    .returning();
  if (!task) return undefined;
  await ctx.db
    .insert(attempts)
    .values({ taskId: task.id, attempt: task.attempt, state: "running", startedAt: sql`${now}` });
  return task;
}

/** The task's order, or why there can be none: that task fails, and does not hold up the host's others. */
async function specOrFault(
  ctx: Ctx,
  input: { task: TaskRow; host: HostRow },
): Promise<SyncSpec | AppError> {
  return syncSpec(ctx, input).catch((error: unknown) => {
    if (error instanceof AppError && error.code === "internal") return error;
    throw error;
  });
}

/** Result of a task for which no order could be made. */
const noOrder: Result = {
  outcome: "fatal",
  ...nothingDone,
  message: "the control plane could not make the order; its log tells why",
  logBytes: 0,
};

/**
 * Leases the host's next task and signs its order; null where nothing waits, or nothing may begin.
 * `busy`: projects that it works on by standing orders; `instance`: the process that asks, where it says so:
 * one that another has replaced while its poll was held gets nothing.
 */
export async function leaseTask(
  ctx: Ctx,
  { host, pollId, busy, instance }: Asking,
): Promise<PollAnswer["lease"]> {
  const lease = await ctx.db.transaction(async (tx) => {
    const inner = { ...ctx, db: tx };
    // The poll may be held twice, once on a connection that is dead: one lease for both.
    await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${pollId}, 0))`);
    const task =
      (await leaseOfPoll(inner, { hostId: host.id, pollId })) ??
      (await leaseWaitingTask(inner, { host, pollId, busy, instance }));
    return task && { task, sync: await specOrFault(inner, { task, host }) };
  });
  if (!lease) return null;
  const { task, sync } = lease;
  if (sync instanceof AppError) {
    ctx.log.error({ err: sync, task: task.id }, "no order can be made for a task");
    await finishAttempt(ctx, { taskId: task.id, attempt: task.attempt, result: noOrder });
    return null;
  }
  const signer = await openTaskSigner(ctx);
  const attempt = { signer, taskId: task.id, hostId: host.id, attempt: task.attempt };
  return {
    order: await signOrder(ctx, { ...attempt, sync }),
    taskToken: await signTaskToken(ctx, { ...attempt, lease: pollId }),
    leaseSeconds,
    heartbeatSeconds,
  };
}

/** Seconds until a task of the host that waits out its back-off may be leased; null where none does. */
export async function secondsToNextTask(
  ctx: Ctx,
  { hostId }: { hostId: string },
): Promise<number | null> {
  const [row] = await ctx.db
    .select({
      seconds: sql<string | null>`extract(epoch from min(${tasks.notBefore}) - ${ctx.now()})`,
    })
    .from(tasks)
    .where(
      and(
        eq(tasks.hostId, hostId),
        eq(tasks.state, "queued"),
        sql`${tasks.notBefore} > ${ctx.now()}`,
      ),
    );
  return row?.seconds == null ? null : Number(row.seconds);
}

/** Tasks that a host works on and that an operator cancelled: each answer to a poll names them. */
export async function cancelledTasks(
  { db }: Pick<Ctx, "db">,
  { hostId }: { hostId: string },
): Promise<string[]> {
  const rows = await db
    .select({ id: tasks.id })
    .from(tasks)
    .where(
      and(eq(tasks.hostId, hostId), eq(tasks.state, "leased"), isNotNull(tasks.cancelRequestedAt)),
    );
  return rows.map(({ id }) => id);
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
  const [extended] = await ctx.db
    .update(tasks)
    .set({
      leaseUntil: sql`${ctx.now()} + ${leaseSeconds} * interval '1 second'`,
      ...(progress && { progress }),
    })
    .where(
      and(
        eq(tasks.id, taskId),
        eq(tasks.attempt, attempt),
        eq(tasks.state, "leased"),
        lease === undefined ? undefined : eq(tasks.pollId, lease),
      ),
    )
    .returning({ cancelRequestedAt: tasks.cancelRequestedAt });
  if (!extended)
    throw new AppError("stale-attempt", `attempt ${attempt} of this task holds no lease: end it`);
  return { leaseSeconds, heartbeatSeconds, cancel: extended.cancelRequestedAt !== null };
}
