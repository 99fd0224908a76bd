import { type SQL, sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import type { Blanks, Given } from "../db/compiled.ts";

/** Pulls from the task's upstream that run now, and how many may. */
const upstreamHasRoom = sql`(
  t.role = 'ftp' or p.upstream_host is null
  or coalesce((f.upstream_parallel_of ->> p.upstream_host)::int, f.upstream_parallel) is null
  or (select count(*) from tasks o join projects q on q.id = o.project_id
      where o.state = 'leased' and o.role = 'master' and q.upstream_host = p.upstream_host)
     < coalesce((f.upstream_parallel_of ->> p.upstream_host)::int, f.upstream_parallel))`;

/** FTP hosts that pull from the task's master now, and how many may. */
const masterHasRoom = sql`(
  t.role = 'master' or not exists (
    select from replicas mr join hosts m on m.id = mr.host_id
    where mr.project_id = t.project_id and mr.role = 'master' and m.serves is not null and m.serves <=
      (select count(*) from tasks o join replicas q on q.project_id = o.project_id
        where o.state = 'leased' and o.role = 'ftp' and q.role = 'master' and q.host_id = m.id)))`;

/** The task's master has said where its rsync daemon serves what the task is to pull. */
const sourceIsKnown = sql`(
  t.role = 'master' or exists (
    select from replicas mr join hosts m on m.id = mr.host_id
      cross join jsonb_array_elements(m.roots) with ordinality root (said, place)
    where mr.project_id = t.project_id and mr.role = 'master' and m.daemon_port is not null
      and root.said ->> 'module' is not null
      and case when mr.synced_root is null then place = 1
        else root.said ->> 'path' = mr.synced_root end))`;

/** `from … where …` of a host's tasks `t`, of projects `p`, that may be leased now: one rsync on a destination, no limit is exceeded, the source is known. */
export const leasable = (ctx: Pick<Ctx, "now">, { hostId }: { hostId: Given<string> }): SQL => sql`
  from tasks t
  join projects p on p.id = t.project_id
  join replicas r on r.project_id = t.project_id and r.host_id = t.host_id
  join hosts h on h.id = t.host_id
  cross join fleet f
  where t.host_id = ${hostId} and t.state = 'queued' and t.not_before <= ${ctx.now()}
    and r.paused_at is null and f.paused_at is null
    and h.drained_at is null and h.revoked_at is null and h.quarantined_at is null
    and not exists (
      select from tasks other
      where other.project_id = t.project_id and other.host_id = t.host_id and other.state = 'leased')
    and (h.parallel is null or h.parallel >
      (select count(*) from tasks busy where busy.host_id = t.host_id and busy.state = 'leased'))
    and ${upstreamHasRoom} and ${masterHasRoom} and ${sourceIsKnown}`;

/**
 * A host's poll. `busy`: projects that it works on by standing orders; `instance`: the process that asks, where it
 * says so: one that another has replaced while its poll was held gets nothing.
 */
export type Asking = {
  hostId: string;
  pollId: string;
  busy: string[];
  instance?: { id: string } | undefined;
};

/** The same as statements take it. */
export type AskingText = { hostId: string; pollId: string; busy: string; instance: string | null };
export const askingText = ({ hostId, pollId, busy, instance }: Asking): AskingText => ({
  hostId,
  pollId,
  busy: busy.join(","),
  instance: instance?.id ?? null,
});

/** The same for a poll: without projects that the host is busy with, and for no process that another has replaced. */
export const waiting = (
  ctx: Pick<Ctx, "now">,
  { hostId, busy, instance }: Omit<Blanks<AskingText>, "pollId">,
): SQL => sql`${leasable(ctx, { hostId })}
  and (${instance}::uuid is null or h.instance = ${instance})
  and p.name <> all(string_to_array(${busy}, ','))`;

/** Tasks that a host works on and that an operator cancelled, as JSON: each answer to a poll names them. */
export const cancelledTasks = ({ hostId }: { hostId: Given<string> }) => sql<string[]>`(
  select coalesce(json_agg(c.id), '[]') from tasks c
  where c.host_id = ${hostId} and c.state = 'leased' and c.cancel_requested_at is not null)`;
