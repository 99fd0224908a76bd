import { and, eq } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { SyncSpec } from "../../protocol/order.ts";
import { parseRsyncUrl, type Source } from "../../protocol/rsync.ts";
import type { HostRow } from "../auth/agent-requests.ts";
import { seal } from "../auth/task-tokens.ts";
import type { Ctx } from "../context.ts";
import type { Transaction } from "../db/connect.ts";
import { hosts, projects, replicas, runs, tasks } from "../db/schema.ts";
import { daemonPasswordOf } from "./daemon-users.ts";

type TaskRow = typeof tasks.$inferSelect;

/** The master's rsync daemon as the source of a project. @throws AppError `unavailable` before the master's first poll. */
async function masterSource(
  tx: Transaction,
  { project, user }: { project: typeof projects.$inferSelect; user: string },
): Promise<Source> {
  const [row] = await tx
    .select({ host: hosts })
    .from(replicas)
    .innerJoin(hosts, eq(hosts.id, replicas.hostId))
    .where(and(eq(replicas.projectId, project.id), eq(replicas.role, "master")));
  const master = row?.host;
  if (!master?.daemonPort || !master.daemonModule) {
    throw new AppError(
      "unavailable",
      `the master of project ${project.name} has not said where its rsync daemon is`,
    );
  }
  return {
    host: master.addresses[0]!,
    port: master.daemonPort,
    module: master.daemonModule,
    path: project.path,
    user,
  };
}

/** What an order says for one task: from where, to where, how, within which limits. */
export async function syncSpec(
  ctx: Ctx,
  tx: Transaction,
  { task, host }: { task: TaskRow; host: HostRow },
): Promise<SyncSpec> {
  const [row] = await tx
    .select({ project: projects, run: runs })
    .from(runs)
    .innerJoin(projects, eq(projects.id, runs.projectId))
    .where(eq(runs.id, task.runId));
  const { project, run } = row!;
  const fromUpstream = task.role === "master";
  return {
    project: project.name,
    source: fromUpstream
      ? parseRsyncUrl(project.upstream!)
      : await masterSource(tx, { project, user: host.name }),
    destination: project.path,
    // Filters chose what the master has: an FTP host takes all of that.
    options: fromUpstream ? project.rsync : { ...project.rsync, filters: [] },
    limits: {
      wallClockSeconds: project.wallClockSeconds,
      stallSeconds: project.stallSeconds,
      maxDeletePercent: project.maxDeletePercent,
      approvedDeletions: run.approvedDeletions,
    },
    sealedPassword: fromUpstream
      ? null
      : await seal({ secret: daemonPasswordOf(ctx, { host }), key: host.sealingKey! }),
  };
}
