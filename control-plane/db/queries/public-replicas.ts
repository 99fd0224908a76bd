import { sql } from "drizzle-orm";
import type { Ctx } from "../../context.ts";
import { freshness } from "./freshness.ts";

/** How fresh a public project is on a host; undefined where there is no such public project. */
export async function readPublicReplica(
  ctx: Pick<Ctx, "db" | "now">,
  { project, host }: { project: string; host: string },
): Promise<
  | {
      /** By a host that is in the fleet. */
      carried: boolean;
      freshAt: Date | null;
      ageSeconds: number;
      withinSeconds: number;
      stale: boolean;
    }
  | undefined
> {
  const {
    rows: [row],
  } = await ctx.db.execute<{
    carried: boolean;
    fresh_at: string | null;
    age: number;
    target: number;
    is_stale: boolean | null;
  }>(sql`
    select h.id is not null carried, f.fresh_at, f.is_stale, p.fresh_target_seconds target,
      greatest(0, floor(extract(epoch from ${ctx.now()} - f.fresh_at)))::int age
    from projects p
    left join hosts h on h.name = ${host} and h.revoked_at is null
      and exists (select from replicas r where r.project_id = p.id and r.host_id = h.id)
    left join ${freshness(ctx)} f on f.project_id = p.id and f.host_id = h.id
    where p.name = ${project} and p.public`);
  return (
    row && {
      carried: row.carried,
      freshAt: row.fresh_at === null ? null : new Date(row.fresh_at),
      ageSeconds: row.age ?? 0,
      withinSeconds: row.target,
      stale: row.is_stale ?? true,
    }
  );
}
