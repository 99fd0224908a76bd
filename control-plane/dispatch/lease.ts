import { and, eq, sql } from "drizzle-orm";
import type { PollAnswer } from "../../protocol/fleet.ts";
import type { Progress } from "../../protocol/report.ts";
import { AppError } from "../../protocol/errors.ts";
import { signOrder, signTaskToken } from "../auth/task-tokens.ts";
import type { HostRow } from "../auth/agent-requests.ts";
import type { Ctx } from "../context.ts";
import type { Transaction } from "../db/connect.ts";
import { attempts, tasks } from "../db/schema.ts";
import { syncSpec } from "./sync-spec.ts";

/** Seconds that a lease lasts without a heartbeat. */
export const leaseSeconds = 120;

type TaskRow = typeof tasks.$inferSelect;

/** The lease that an earlier, unanswered poll of the same id took. */
async function leaseOfPoll(ctx: Ctx, { hostId, pollId }: { hostId: string; pollId: string }) {
  const [task] = await ctx.db
    .select()
    .from(tasks)
    .where(and(eq(tasks.pollId, pollId), eq(tasks.hostId, hostId), eq(tasks.state, "leased")));
  return task;
}

async function leaseWaitingTask(
  ctx: Ctx,
  tx: Transaction,
  { hostId, pollId }: { hostId: string; pollId: string },
): Promise<TaskRow | undefined> {
  const now = ctx.now();
  // One rsync on a destination: a project's second task waits for the first on the same host.
  const [task] = await tx
    .update(tasks)
    .set({
      state: "leased",
      attempt: sql`${tasks.attempt} + 1`,
      leaseUntil: sql`${now} + ${leaseSeconds} * interval '1 second'`,
      pollId,
      progress: null,
      startedAt: sql`coalesce(${tasks.startedAt}, ${now})`,
    })
    .where(
      sql`${tasks.id} = (
        select t.id from tasks t
        where t.host_id = ${hostId} and t.state = 'queued' and t.not_before <= ${now}
          and not exists (
            select from tasks other
            where other.project_id = t.project_id and other.host_id = t.host_id and other.state = 'leased')
        order by t.queued_at, t.id
        limit 1
        for update skip locked)`,
    )
    .returning();
  if (!task) return undefined;
  await tx
    .insert(attempts)
    .values({ taskId: task.id, attempt: task.attempt, state: "running", startedAt: sql`${now}` });
  return task;
}

/** Leases the host's next task and signs its order; null where nothing waits. */
export async function leaseTask(
  ctx: Ctx,
  { host, pollId }: { host: HostRow; pollId: string },
): Promise<PollAnswer["lease"]> {
  const earlier = await leaseOfPoll(ctx, { hostId: host.id, pollId });
  const lease = await ctx.db.transaction(async (tx) => {
    const task = earlier ?? (await leaseWaitingTask(ctx, tx, { hostId: host.id, pollId }));
    return task && { task, sync: await syncSpec(ctx, tx, { task, host }) };
  });
  if (!lease) return null;
  const { task, sync } = lease;
  const attempt = { taskId: task.id, hostId: host.id, attempt: task.attempt };
  return {
    order: await signOrder(ctx.secrets, { ...attempt, sync }),
    taskToken: await signTaskToken(ctx.secrets, attempt),
    leaseSeconds,
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

/** Extends a lease and keeps the progress. @throws AppError `stale-attempt`. */
export async function heartbeat(
  ctx: Ctx,
  { taskId, attempt, progress }: { taskId: string; attempt: number; progress: Progress | null },
): Promise<{ leaseSeconds: number }> {
  const [extended] = await ctx.db
    .update(tasks)
    .set({
      leaseUntil: sql`${ctx.now()} + ${leaseSeconds} * interval '1 second'`,
      ...(progress && { progress }),
    })
    .where(and(eq(tasks.id, taskId), eq(tasks.attempt, attempt), eq(tasks.state, "leased")))
    .returning({ id: tasks.id });
  if (!extended)
    throw new AppError("stale-attempt", `attempt ${attempt} of this task holds no lease: end it`);
  return { leaseSeconds };
}
