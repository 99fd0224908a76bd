import { createHash } from "node:crypto";
import { and, eq, inArray, sql } from "drizzle-orm";
import { AppError } from "../../protocol/errors.ts";
import {
  maxOccurrences,
  type StandingClaims,
  type StandingOrders,
} from "../../protocol/standing.ts";
import type { HostRow } from "../auth/agent-requests.ts";
import { openTaskSigner, type TaskSigner } from "../auth/task-keys.ts";
import { signStandingOrder, standingSeconds } from "../auth/task-tokens.ts";
import type { Ctx } from "../context.ts";
import type { Given } from "../db/compiled.ts";
import type { ProjectRow } from "../db/queries/projects.ts";
import { projects } from "../db/schema/projects.ts";
import { replicas } from "../db/schema/replicas.ts";
import { nextRun } from "../schedule/next-run.ts";
import { masterOfProject, type Place, specOfReplica } from "./sync-spec.ts";

/** Orders on one page of the answer. */
const pageSize = 50;
/** Seconds after which a host gets its orders anew, so that they never lack much of their time. */
const renewSeconds = 6 * 3600;
/** Longest time in seconds that an FTP host leaves its master to pull. */
const longestDelaySeconds = 1800;

type Row = { id: string; name: string; facts: string; upstream_parallel: number | null };

/**
 * The projects that a host may sync by itself, and all that their orders depend on: only what the
 * schedule would sync now, and from a master that has something.
 */
const standingProjects = (ctx: Pick<Ctx, "now">, { hostId }: { hostId: Given<string> }) => sql`
  select p.id, p.name,
    coalesce((f.upstream_parallel_of ->> p.upstream_host)::int, f.upstream_parallel) upstream_parallel,
    jsonb_build_array(p.id, p.version, r.role, r.root, h.parallel, h.signing_key,
      f.upstream_parallel, f.upstream_parallel_of -> p.upstream_host,
      case when r.role = 'ftp'
        then jsonb_build_array(mh.addresses, mh.daemon_port, mh.roots, m.root, m.synced_root,
          mh.facts->'tls', h.facts->'tls') end,
      (select kid from task_keys where usable_from <= ${ctx.now()} order by usable_from desc limit 1)
    )::text facts
  from replicas r
  join projects p on p.id = r.project_id
  join hosts h on h.id = r.host_id
  join replicas m on m.project_id = p.id and m.role = 'master'
  join hosts mh on mh.id = m.host_id
  cross join fleet f
  where r.host_id = ${hostId} and f.standing_orders and f.paused_at is null
    and h.signing_key is not null and h.revoked_at is null and h.quarantined_at is null and h.drained_at is null
    and p.schedule is not null and p.next_run_at is not null and p.paused_at is null
    and r.paused_at is null
    and case when r.role = 'master' then p.upstream is not null or jsonb_array_length(p.parts) > 0
      else m.generation > 0 and m.generation = p.generation and mh.daemon_port is not null end`;

/** What the version of a host's standing orders is made from: changes when they do, and every six hours; null: it has none. */
export const standingFacts = (ctx: Pick<Ctx, "now">, { hostId }: { hostId: Given<string> }) =>
  sql<string | null>`(
    select floor((extract(epoch from ${ctx.now()}) + (hashtext(${hostId}) & 32767)) / ${renewSeconds})::text
      || ' ' || string_agg(s.facts, ',' order by s.id)
    from (${standingProjects(ctx, { hostId })}) s)`;

/** Version of a host's standing orders. */
export const standingVersion = (facts: string | null): string =>
  facts === null ? "none" : createHash("sha256").update(facts).digest("base64url");

/** Times of a project's schedule within an order's life, in seconds. */
function occurrencesOf(project: ProjectRow, { now }: { now: Date }): number[] {
  const schedule = { ...project, schedule: project.schedule! };
  const until = now.getTime() + standingSeconds * 1000;
  const times: number[] = [];
  let at = nextRun(schedule, { after: now });
  while (at && at.getTime() <= until && times.length < maxOccurrences) {
    times.push(Math.floor(at.getTime() / 1000));
    const next: Date | null = nextRun(schedule, { after: at });
    at = next && next > at ? next : null;
  }
  return times;
}

/** An FTP host follows when half of the time to the next occurrence is over, or half an hour. */
const delayOf = ([first, second]: number[]): number =>
  first === undefined || second === undefined
    ? longestDelaySeconds
    : Math.min(longestDelaySeconds, Math.floor((second - first) / 2));

/** The slowest of a project's limits: an order does not know when in the day it will be followed. */
function slowest({ rsync, bandwidthWindows }: ProjectRow): number | null {
  const limits = [rsync.bandwidthKiBps, ...bandwidthWindows.map((each) => each.bandwidthKiBps)];
  const known = limits.filter((limit) => limit !== null);
  return known.length === 0 ? null : Math.min(...known);
}

async function orderOf(
  ctx: Ctx,
  {
    signer,
    upstreamParallel,
    now,
    ...place
  }: Place & { signer: TaskSigner; upstreamParallel: number | null; now: Date },
): Promise<string | null> {
  const { project, replica, host } = place;
  const occurrences = occurrencesOf(project, { now });
  if (occurrences.length === 0) return null;
  const spec = await specOfReplica(ctx, place);
  const { role } = replica;
  const limited = role === "master" && project.upstreamHost !== null && upstreamParallel !== null;
  const claims: Omit<StandingClaims, "iss" | "aud" | "sub" | "jti" | "iat" | "nbf" | "exp"> = {
    role,
    occurrences,
    delaySeconds: role === "master" ? 0 : delayOf(occurrences),
    misfire: project.misfire === "skip" ? "skip" : "latest",
    upstream: limited ? { host: project.upstreamHost!, parallel: upstreamParallel } : null,
    hostParallel: host.parallel,
    sync: {
      ...spec,
      options: { ...spec.options, bandwidthKiBps: slowest(project) },
      // What it changes is published by the next regular pull; FTP hosts compare their whole tree.
      publish: null,
      carry: null,
      undo: null,
    },
  };
  return signStandingOrder(ctx, { signer, projectId: project.id, hostId: host.id, now, claims });
}

/** A page of a host's standing orders, by the projects' names, signed now. */
export async function standingOrders(
  ctx: Ctx,
  { host, after = "" }: { host: HostRow; after?: string | undefined },
): Promise<StandingOrders> {
  const { rows: found } = await ctx.db.execute<Row & { now: string }>(sql`
    select s.*, ${ctx.now()} as now from (${standingProjects(ctx, { hostId: host.id })}) s
    where s.name collate "C" > ${after} order by s.name collate "C" limit ${pageSize + 1}`);
  const page = found.slice(0, pageSize);
  const { rows: facts } = await ctx.db.execute<{ facts: string | null }>(
    sql`select ${standingFacts(ctx, { hostId: host.id })} facts`,
  );
  const version = standingVersion(facts[0]!.facts);
  const time = new Date().toISOString();
  if (page.length === 0) return { version, orders: [], next: null, time };
  const rows = await ctx.db
    .select({ project: projects, replica: replicas, master: masterOfProject })
    .from(projects)
    .innerJoin(replicas, and(eq(replicas.projectId, projects.id), eq(replicas.hostId, host.id)))
    .where(
      inArray(
        projects.id,
        page.map(({ id }) => id),
      ),
    );
  const signer = await openTaskSigner(ctx);
  const orders: string[] = [];
  for (const { id, now, upstream_parallel: upstreamParallel } of page) {
    const row = rows.find(({ project }) => project.id === id);
    if (!row) continue;
    const at = { now: new Date(now), upstreamParallel };
    const order = await orderOf(ctx, { ...row, ...at, host, signer }).catch((error: unknown) => {
      // A master that does not say where it serves the project, a password that cannot be read.
      if (!(error instanceof AppError)) throw error;
      ctx.log.warn({ host: host.name, project: row.project.name }, error.message);
      return null;
    });
    if (order) orders.push(order);
  }
  return { version, orders, next: found.length > pageSize ? page.at(-1)!.name : null, time };
}
