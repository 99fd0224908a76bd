import { and, eq, inArray, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import { eventByOutcome, type TaskState } from "../../protocol/states.ts";
import type { StandingClaims, StandingRun, StandingTicket } from "../../protocol/standing.ts";
import type { HostRow } from "../auth/agent-requests.ts";
import { openTaskSigner } from "../auth/task-keys.ts";
import { signTaskToken, verifyStandingOrder } from "../auth/task-tokens.ts";
import type { Ctx } from "../context.ts";
import { lockProject } from "../db/queries/projects.ts";
import { countAttempt, countRun } from "../db/queries/totals.ts";
import { hosts } from "../db/schema/hosts.ts";
import { projects } from "../db/schema/projects.ts";
import { replicas } from "../db/schema/replicas.ts";
import { runs } from "../db/schema/runs.ts";
import { attempts, standingReports, tasks } from "../db/schema/tasks.ts";
import { follow } from "./finish.ts";
import { notifyHosts } from "./wake.ts";

type Report = {
  projectId: string;
  hostId: string;
  role: StandingClaims["role"];
  scheduledFor: Date;
  startedAt: Date;
  finishedAt: Date;
  result: StandingRun["result"];
  state: Extract<TaskState, "succeeded" | "failed">;
};
type Kept = { taskId: string; attempt: number };

/**
 * The regular run of the same occurrence, where its pull has not begun: a success is that pull, with all
 * that follows from one; a run that only waited behind another is not needed any more.
 */
async function fulfilScheduledRun(ctx: Ctx, { report }: { report: Report }): Promise<Kept | null> {
  const { projectId, scheduledFor, result, startedAt, finishedAt } = report;
  const [run] = await ctx.db
    .select()
    .from(runs)
    .where(
      and(
        eq(runs.projectId, projectId),
        eq(runs.scheduledFor, scheduledFor),
        eq(runs.trigger, "schedule"),
        inArray(runs.state, ["queued", "running"]),
      ),
    );
  if (!run) return null;
  if (run.state === "queued") {
    const reason = "the master pulled by its standing order while it was out of contact";
    await ctx.db
      .update(runs)
      .set({ state: "cancelled", reason, finishedAt: sql`${ctx.now()}` })
      .where(and(eq(runs.id, run.id), eq(runs.state, "queued")));
    await countRun(ctx, { projectId, state: "cancelled" });
    return null;
  }
  if (report.state !== "succeeded") return null;
  const [task] = await ctx.db
    .update(tasks)
    .set({ state: "succeeded", attempt: sql`${tasks.attempt} + 1`, result, startedAt, finishedAt })
    .where(and(eq(tasks.runId, run.id), eq(tasks.role, "master"), eq(tasks.state, "queued")))
    .returning();
  if (!task) return null;
  const { id: taskId, attempt } = task;
  await ctx.db
    .insert(attempts)
    .values({ taskId, attempt, state: "succeeded", result, startedAt, finishedAt });
  await countAttempt(ctx, report);
  await follow(ctx, { task });
  return { taskId, attempt };
}

/** The run of what hosts did by themselves for an occurrence; made by the first that reports. */
async function standingRunOf(ctx: Ctx, report: Report): Promise<string> {
  const { projectId, scheduledFor, startedAt, finishedAt, state } = report;
  const [made] = await ctx.db
    .insert(runs)
    .values({
      projectId,
      trigger: "standing",
      state,
      scheduledFor,
      startedAt,
      finishedAt,
      createdAt: sql`${ctx.now()}`,
    })
    .onConflictDoNothing()
    .returning({ id: runs.id });
  if (made) {
    await countRun(ctx, { projectId, state });
    return made.id;
  }
  const [run] = await ctx.db
    .select({ id: runs.id })
    .from(runs)
    .where(
      and(
        eq(runs.projectId, projectId),
        eq(runs.scheduledFor, scheduledFor),
        eq(runs.trigger, "standing"),
      ),
    );
  return run!.id;
}

/** What a run's tasks together came to. */
async function sumUp(
  ctx: Ctx,
  { runId, projectId }: { runId: string; projectId: string },
): Promise<void> {
  const [before] = await ctx.db.select({ state: runs.state }).from(runs).where(eq(runs.id, runId));
  const rows = await ctx.db
    .select({ task: tasks, host: hosts.name })
    .from(tasks)
    .innerJoin(hosts, eq(hosts.id, tasks.hostId))
    .where(eq(tasks.runId, runId));
  const failed = rows.filter(({ task }) => task.state !== "succeeded").map(({ host }) => host);
  const times = (pick: "startedAt" | "finishedAt") => rows.map(({ task }) => Number(task[pick]));
  const state = failed.length > 0 ? "failed" : "succeeded";
  if (before!.state !== state) await countRun(ctx, { projectId, state });
  await ctx.db
    .update(runs)
    .set({
      state,
      reason: failed.length > 0 ? `failed on ${failed.join(", ")}` : null,
      startedAt: new Date(Math.min(...times("startedAt"))),
      finishedAt: new Date(Math.max(...times("finishedAt"))),
    })
    .where(eq(runs.id, runId));
}

/**
 * What a success says of freshness: the master had what its source had when it began, and with it what is
 * published where nothing was new; an FTP host had what its master was known to have when it began.
 */
async function noteFreshness(ctx: Ctx, report: Report): Promise<void> {
  const { projectId, hostId, role, result, state } = report;
  if (state !== "succeeded") return;
  // A host's clock may be ahead: nothing is fresher than now.
  const startedAt = sql`least(${report.startedAt.toISOString()}::timestamptz, ${ctx.now()})`;
  const ofMaster = sql`(select m.fresh_at from replicas m
    where m.project_id = ${projectId} and m.role = 'master' and m.fresh_at <= ${startedAt})`;
  await ctx.db
    .update(replicas)
    .set({
      freshAt: sql`greatest(${replicas.freshAt}, ${role === "master" ? startedAt : ofMaster})`,
    })
    .where(and(eq(replicas.projectId, projectId), eq(replicas.hostId, hostId)));
  if (role === "master" && result.changes === 0 && !result.uncertain)
    await ctx.db
      .update(projects)
      .set({ freshAt: sql`greatest(${projects.freshAt}, ${startedAt})` })
      .where(and(eq(projects.id, projectId), eq(projects.unpublished, false)));
}

/** Keeps a report in a run of its occurrence, with its task and attempt, all of them ended. */
async function keepStandingRun(ctx: Ctx, report: Report): Promise<Kept> {
  const { projectId, hostId, role, scheduledFor, startedAt, finishedAt, result, state } = report;
  const runId = await standingRunOf(ctx, report);
  const ended = { state, result, startedAt, finishedAt };
  const [task] = await ctx.db
    .insert(tasks)
    .values({
      ...ended,
      runId,
      projectId,
      hostId,
      role,
      attempt: 1,
      maxAttempts: 1,
      notBefore: scheduledFor,
      queuedAt: scheduledFor,
    })
    .returning({ taskId: tasks.id, attempt: tasks.attempt });
  await ctx.db.insert(attempts).values({ ...task!, ...ended });
  await countAttempt(ctx, report);
  await sumUp(ctx, { runId, projectId });
  await noteFreshness(ctx, report);
  // What a master pulled is not in any change list, nor published: the next regular pull does that.
  if (role === "master" && (state === "failed" || result.changes > 0))
    await ctx.db.update(projects).set({ unpublished: true }).where(eq(projects.id, projectId));
  await ctx.db
    .update(replicas)
    .set({
      // An FTP host's tree may be ahead of its generation now: no list leads on from it.
      ...(role === "ftp" && { scannedAt: null }),
      ...(state === "succeeded" && {
        syncedAt: sql`greatest(${replicas.syncedAt}, ${finishedAt.toISOString()}::timestamptz)`,
      }),
    })
    .where(
      and(
        eq(replicas.projectId, projectId),
        eq(replicas.hostId, hostId),
        role === "ftp" || state === "succeeded" ? undefined : sql`false`,
      ),
    );
  return task!;
}

async function keepReport(ctx: Ctx, report: Report): Promise<Kept> {
  const { projectId, hostId, scheduledFor } = report;
  // The project's row first, always: the schedule and other reports of its wait.
  await lockProject(ctx.db, { id: projectId });
  const [known] = await ctx.db
    .select({ taskId: standingReports.taskId, attempt: standingReports.attempt })
    .from(standingReports)
    .where(
      and(
        eq(standingReports.projectId, projectId),
        eq(standingReports.hostId, hostId),
        eq(standingReports.scheduledFor, scheduledFor),
      ),
    );
  if (known) return known;
  const fulfilled = report.role === "master" ? await fulfilScheduledRun(ctx, { report }) : null;
  const kept = fulfilled ?? (await keepStandingRun(ctx, report));
  await ctx.db.insert(standingReports).values({ projectId, hostId, scheduledFor, ...kept });
  // The host is free for the project's tasks again.
  await notifyHosts(ctx, { hostIds: [hostId] });
  return kept;
}

/**
 * Takes what a host did by a standing order while it was out of contact, in one transaction; the log
 * follows with the task token. Delivering it again does nothing. @throws AppError `order-refused`,
 * `invalid-input` for a time that the order does not name, `not-found` where the project is gone.
 */
export async function recordStandingRun(
  ctx: Ctx,
  { host, report }: { host: HostRow; report: StandingRun },
): Promise<StandingTicket> {
  const { order, result } = report;
  const claims = await verifyStandingOrder(ctx, { order, hostId: host.id });
  const scheduledFor = new Date(report.scheduledFor);
  if (!claims.occurrences.includes(scheduledFor.getTime() / 1000)) {
    const message = "is none of the order's occurrences";
    throw new AppError("invalid-input", `scheduledFor ${message}`, {
      fields: [{ field: "scheduledFor", message }],
    });
  }
  const startedAt = new Date(report.startedAt);
  const kept = await ctx.db.transaction((tx) =>
    keepReport(
      { ...ctx, db: tx },
      {
        projectId: claims.sub,
        hostId: host.id,
        role: claims.role,
        scheduledFor,
        startedAt,
        finishedAt: new Date(startedAt.getTime() + result.seconds * 1000),
        result,
        state: eventByOutcome[result.outcome] === "succeed" ? "succeeded" : "failed",
      },
    ),
  );
  const signer = await openTaskSigner(ctx);
  const taskToken = await signTaskToken(ctx, { signer, ...kept, hostId: host.id });
  return { ...kept, taskToken, time: new Date().toISOString() };
}
