import { sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import type { Step, SyncSpec } from "../../protocol/order.ts";
import { parseRsyncUrl, type RsyncOptions, type Source } from "../../protocol/rsync.ts";
import type { HostRow } from "../auth/agent-requests.ts";
import { decryptAtRest } from "../auth/at-rest.ts";
import { seal } from "../auth/task-tokens.ts";
import type { Ctx } from "../context.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import { projects } from "../db/schema/projects.ts";
import { type replicas } from "../db/schema/replicas.ts";
import { type runs } from "../db/schema/runs.ts";
import { type tasks } from "../db/schema/tasks.ts";
import { endOfWindow } from "../schedule/time-window.ts";
import { carryOf, type ListedChanges } from "./change-lists.ts";
import { daemonPasswordOf } from "./daemon-users.ts";

/** A project's master as the source of its FTP hosts. `root`: where the project is there; null: in its first. */
type Master = Pick<HostRow, "addresses" | "daemonPort" | "roots" | "facts"> & {
  root: string | null;
};

/** A project's master, for queries that join `projects`. */
export const masterOfProject = sql<Master>`(
  select json_build_object('root', mr.synced_root, 'addresses', m.addresses,
    'daemonPort', m.daemon_port, 'roots', m.roots, 'facts', m.facts)
  from replicas mr join hosts m on m.id = mr.host_id
  where mr.project_id = ${projects.id} and mr.role = 'master')`;

/** The master's rsync daemon as the source of a project. @throws AppError `unavailable` before the master's first poll. */
function masterSource({ project, host, master }: Place): Source {
  const root = master.root ?? master.roots[0]?.path;
  const module = master.roots.find(({ path }) => path === root)?.module;
  if (!master.daemonPort || !module) {
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

/** A replica with what is around it. */
export type Place = {
  project: ProjectRow;
  replica: typeof replicas.$inferSelect;
  host: HostRow;
  master: Master;
};

/** Seconds for which a host's sealed password is kept. */
const sealedSeconds = 3600;

/** The rsync of a pull from the master. */
async function masterSteps(ctx: Ctx, place: Place): Promise<Step[]> {
  const { project, host } = place;
  const source = masterSource(place);
  const key = host.sealingKey!;
  // Sealing takes longer than all else of an order; the password is another one when the host has another key.
  const sealedPassword = await ctx.share(
    `password of ${host.id} with ${host.signingKey!.x} for ${key.x}`,
    () => seal({ secret: daemonPasswordOf(ctx, { host }), key }),
    sealedSeconds,
  );
  return [{ sources: [{ source, sealedPassword }], destination: project.path, sentinel: null }];
}

/** What each sync of a replica has, whoever asks for it: by the schedule, with nothing approved. */
export async function specOfReplica(
  ctx: Ctx,
  place: Place,
): Promise<Omit<SyncSpec, "publish" | "carry" | "undo">> {
  const { project, replica } = place;
  const fromUpstream = replica.role === "master";
  const steps = fromUpstream ? upstreamSteps : masterSteps;
  return {
    project: project.name,
    path: project.path,
    root: replica.root,
    steps: await steps(ctx, place),
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

/** What an order depends on, as it is read for one task. */
export type OrderFacts = Place & {
  task: typeof tasks.$inferSelect;
  run: typeof runs.$inferSelect;
  lists: ListedChanges[];
  reconcile: boolean;
  now: Date;
};

/** What an order says for one task: from where, to where, how, within which limits. */
export async function syncSpec(ctx: Ctx, facts: OrderFacts): Promise<SyncSpec> {
  const { task, project, run, replica, now } = facts;
  const fromUpstream = task.role === "master";
  const spec = await specOfReplica(ctx, { ...facts, replica: { ...replica, role: task.role } });
  return {
    ...spec,
    options: { ...spec.options, bandwidthKiBps: bandwidthAt(project, { now }) },
    limits: { ...spec.limits, approvedDeletions: run.approvedDeletions },
    // Whoever asks by hand wants to see for himself.
    scanEverySeconds: asksItself.has(run.trigger) ? spec.scanEverySeconds : 0,
    publish: fromUpstream && !task.dryRun ? project.generation + 1 : null,
    carry: fromUpstream ? null : carryOf(facts),
    undo: fromUpstream && run.trigger === "undo" ? run.id : null,
    ...(task.dryRun && { dryRun: true as const }),
  };
}
