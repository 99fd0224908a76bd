import { sql } from "drizzle-orm";
import type { Ctx } from "../../context.ts";
import { freshness } from "./freshness.ts";

type PublicReplica = { freshAt: Date | null; ageSeconds: number; stale: boolean };
type PublicReplicas = {
  /** Seconds up to which a public project's copies are fresh. */
  targets: Map<string, number>;
  /** How fresh they are, by project and host; of hosts that are in the fleet. */
  replicas: Map<string, PublicReplica>;
};

/** Names hold no space. */
export const replicaKey = ({ project, host }: { project: string; host: string }) =>
  `${project} ${host}`;

/** How fresh every copy of every public project is. */
export async function readPublicReplicas(ctx: Pick<Ctx, "db" | "now">): Promise<PublicReplicas> {
  const { rows } = await ctx.db.execute<{
    project: string;
    host: string | null;
    fresh_at: string | null;
    age: number | null;
    target: number;
    is_stale: boolean | null;
  }>(sql`
    select p.name project, h.name host, f.fresh_at, f.is_stale, p.fresh_target_seconds target,
      greatest(0, floor(extract(epoch from ${ctx.now()} - f.fresh_at)))::int age
    from projects p
    left join (${freshness(ctx)} f join hosts h on h.id = f.host_id and h.revoked_at is null)
      on f.project_id = p.id
    where p.public`);
  const found: PublicReplicas = { targets: new Map(), replicas: new Map() };
  for (const { project, host, fresh_at: at, age, target, is_stale: stale } of rows) {
    found.targets.set(project, target);
    if (host === null) continue;
    found.replicas.set(replicaKey({ project, host }), {
      freshAt: at === null ? null : new Date(at),
      ageSeconds: age ?? 0,
      stale: stale ?? true,
    });
  }
  return found;
}
