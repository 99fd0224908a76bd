import { sql } from "drizzle-orm";
import type { HostFacts } from "../../../protocol/fleet.ts";
import type { Host } from "../../../protocol/host.ts";
import type { Ctx } from "../../context.ts";
import { hosts } from "../schema/hosts.ts";

/** Days of samples that a forecast is made of. */
const days = 30;
/** Days that the samples must span. */
const fewestDays = 3;
/** A forecast for later than that is none. */
const farthestSeconds = 2 * 366 * 86_400;

/** Keeps how much is free below each mirror root, the first of each day; what no forecast needs any more goes. */
export async function sampleDisks({ db, now }: Pick<Ctx, "db" | "now">): Promise<void> {
  await db.execute(sql`
    insert into disk_samples (host_id, root, day, free_bytes)
    select h.id, d.path, (${now()} at time zone 'UTC')::date, d."freeBytes"
    from hosts h cross join lateral jsonb_to_recordset(h.facts -> 'roots')
      d(path text, "freeBytes" bigint)
    where h.revoked_at is null and h.facts_at > ${now()} - interval '1 hour'
    on conflict do nothing`);
  await db.execute(
    sql`delete from disk_samples where day < (${now()} at time zone 'UTC')::date - ${days}::int`,
  );
}

/** A table of how many bytes a second free room grows by, a line through the samples: `host_id, root, growth`. */
export const growths = sql`(
  select host_id, root, regr_slope(free_bytes, extract(epoch from day)::float8) growth
  from disk_samples group by host_id, root having max(day) - min(day) >= ${fewestDays})`;

/** The same of one host, by mirror root. */
export const growthOfRoom = sql<Record<string, number>>`(
  select coalesce(jsonb_object_agg(s.root, s.growth), '{}') from ${growths} s
  where s.host_id = ${hosts}.id)`;

/** A mirror root with when it will be full if that goes on; null: not within two years, or not known. */
export function withForecast(
  disk: HostFacts["roots"][number],
  { growth, at }: { growth: number | undefined; at: Date },
): Host["disks"][number] {
  if (growth === undefined || growth >= 0) return { ...disk, fullAt: null };
  const seconds = disk.freeBytes / -growth;
  if (seconds > farthestSeconds) return { ...disk, fullAt: null };
  return { ...disk, fullAt: new Date(at.getTime() + seconds * 1000).toISOString() };
}
