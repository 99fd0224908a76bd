import { and, eq, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Step, SyncSpec } from "../../protocol/order.ts";
import { parseRsyncUrl, type RsyncOptions, type Source } from "../../protocol/rsync.ts";
import type { HostRow } from "../auth/agent-requests.ts";
import { decryptAtRest } from "../auth/at-rest.ts";
import { seal } from "../auth/task-tokens.ts";
import type { Ctx } from "../context.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import { hosts, projects, replicas, runs, tasks } from "../db/schema.ts";
import { endOfWindow } from "../schedule/time-window.ts";
import { carryOf } from "./change-lists.ts";
import { daemonPasswordOf } from "./daemon-users.ts";

type TaskRow = typeof tasks.$inferSelect;

/** The master's rsync daemon as the source of a project. @throws AppError `unavailable` before the master's first poll. */
async function masterSource(
  { db }: Pick<Ctx, "db">,
  { project, host }: { project: ProjectRow; host: HostRow },
): Promise<Source> {
  const [row] = await db
    .select({ host: hosts, root: replicas.syncedRoot })
    .from(replicas)
    .innerJoin(hosts, eq(hosts.id, replicas.hostId))
    .where(and(eq(replicas.projectId, project.id), eq(replicas.role, "master")));
  const master = row?.host;
  const root = row?.root ?? master?.roots[0]?.path;
  const module = master?.roots.find(({ path }) => path === root)?.module;
  if (!master?.daemonPort || !module) {
    throw new AppError(
      "unavailable",
      `the master of project ${project.name} has not said where its rsync daemon serves it`,
    );
  }
  // A host whose agent takes no such order gets one for plain rsync: what stands in its way is said by the master.
  const keySha256 = host.facts?.tls ? master.facts?.tls?.daemonKeySha256 : null;
  return {
    host: master.addresses[0]!,
    port: master.daemonPort,
    module,
    path: project.path,
    user: host.name,
    ...(keySha256 && { tls: { keySha256 } }),
  };
}

/** One source of an upstream; the login goes to its own host only, its password sealed to the agent. */
async function upstreamSource(
  ctx: Ctx,
  { url, project, host }: { url: string; project: ProjectRow; host: HostRow },
): Promise<Step["sources"][number]> {
  const source = parseRsyncUrl(url);
  if (project.loginPassword === null || source.host !== project.loginHost)
    return { source, sealedPassword: null };
  const secret = await decryptAtRest(ctx.secrets, {
    encrypted: project.loginPassword,
    owner: `project ${project.name}`,
  });
  return {
    source: { ...source, user: project.loginUser },
    sealedPassword: await seal({ secret, key: host.sealingKey! }),
  };
}

/** The rsyncs of a pull from the upstream, in order. */
async function upstreamSteps(
  ctx: Ctx,
  { project, host }: { project: ProjectRow; host: HostRow },
): Promise<Step[]> {
  const { upstream, fallbacks, sentinel, parts, path } = project;
  const pulls =
    upstream === null
      ? parts.map((part) => ({
          urls: [part.upstream, ...part.fallbacks],
          destination: `${path}/${part.path}`,
          // Parts that were stored before they could have one have none.
          sentinel: part.sentinel ?? null,
        }))
      : [{ urls: [upstream, ...fallbacks], destination: path, sentinel }];
  return Promise.all(
    pulls.map(async ({ urls, destination, sentinel: file }) => ({
      sources: await Promise.all(urls.map((url) => upstreamSource(ctx, { url, project, host }))),
      destination,
      sentinel: file,
    })),
  );
}

/** The limit of the window that it is now, else the project's. */
function bandwidthAt(
  { bandwidthWindows, rsync, zone }: ProjectRow,
  { now }: { now: Date },
): RsyncOptions["bandwidthKiBps"] {
  const window = bandwidthWindows.find((each) => endOfWindow({ window: each, zone }, { at: now }));
  return window?.bandwidthKiBps ?? rsync.bandwidthKiBps;
}

/** Triggers that trust the sentinel. */
const asksItself = new Set(["schedule", "push"]);

type Place = { project: ProjectRow; replica: typeof replicas.$inferSelect; host: HostRow };

/** The rsync of a pull from the master. */
async function masterSteps(ctx: Ctx, { project, host }: Omit<Place, "replica">): Promise<Step[]> {
  const sealedPassword = await seal({
    secret: daemonPasswordOf(ctx, { host }),
    key: host.sealingKey!,
  });
  const source = await masterSource(ctx, { project, host });
  return [{ sources: [{ source, sealedPassword }], destination: project.path, sentinel: null }];
}

/** What each sync of a replica has, whoever asks for it: by the schedule, with nothing approved. */
export async function specOfReplica(
  ctx: Ctx,
  { project, replica, host }: Place,
): Promise<Omit<SyncSpec, "publish" | "carry" | "undo">> {
  const fromUpstream = replica.role === "master";
  const steps = fromUpstream ? upstreamSteps : masterSteps;
  return {
    project: project.name,
    path: project.path,
    root: replica.root,
    steps: await steps(ctx, { project, host }),
    // Filters chose what the master has: an FTP host takes all of that.
    options: { ...project.rsync, ...(!fromUpstream && { filters: [] }) },
    limits: {
      wallClockSeconds: project.wallClockSeconds,
      stallSeconds: project.stallSeconds,
      maxDeletePercent: project.maxDeletePercent,
      approvedDeletions: null,
    },
    scanEverySeconds: project.scanEveryHours * 3600,
    // Not null: agents that know nothing of it refuse an order that names it.
    ...(project.trace && { trace: project.trace }),
  };
}

/** What an order says for one task: from where, to where, how, within which limits. */
export async function syncSpec(
  ctx: Ctx,
  { task, host }: { task: TaskRow; host: HostRow },
): Promise<SyncSpec> {
  const [row] = await ctx.db
    .select({ project: projects, run: runs, replica: replicas, now: sql<string>`${ctx.now()}` })
    .from(runs)
    .innerJoin(projects, eq(projects.id, runs.projectId))
    .innerJoin(
      replicas,
      and(eq(replicas.projectId, runs.projectId), eq(replicas.hostId, task.hostId)),
    )
    .where(eq(runs.id, task.runId));
  const { project, run, replica, now } = row!;
  const fromUpstream = task.role === "master";
  const spec = await specOfReplica(ctx, {
    project,
    host,
    replica: { ...replica, role: task.role },
  });
  return {
    ...spec,
    options: { ...spec.options, bandwidthKiBps: bandwidthAt(project, { now: new Date(now) }) },
    limits: { ...spec.limits, approvedDeletions: run.approvedDeletions },
    // Whoever asks by hand wants to see for himself.
    scanEverySeconds: asksItself.has(run.trigger) ? spec.scanEverySeconds : 0,
    publish: fromUpstream && !task.dryRun ? project.generation + 1 : null,
    carry: fromUpstream ? null : await carryOf(ctx, { project, run, replica }),
    undo: fromUpstream && run.trigger === "undo" ? run.id : null,
    ...(task.dryRun && { dryRun: true as const }),
  };
}
