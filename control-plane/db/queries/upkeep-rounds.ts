import { sql } from "drizzle-orm";
import type { Ctx } from "../../context.ts";

/**
 * Notes a round of upkeep, and answers for how many seconds there have been rounds without a pause of more than
 * `pauseSeconds`: 0 for the first one. It is noted beside the answers to operators, under an actor that none of them has.
 */
export async function noteRound(
  { db, now }: Pick<Ctx, "db" | "now">,
  { pauseSeconds }: { pauseSeconds: number },
): Promise<number> {
  const { rows } = await db.execute<{ seconds: number }>(sql`
    insert into idempotent_answers as noted (actor, key, request, body, created_at)
    values ('upkeep', 'rounds', '', ${now()}::text, ${now()})
    on conflict (actor, key) do update set
      body = case
        when noted.created_at < excluded.created_at - ${pauseSeconds} * interval '1 second'
        then excluded.body else noted.body end,
      created_at = excluded.created_at
    returning extract(epoch from ${now()} - body::timestamptz)::float8 as seconds`);
  return rows[0]!.seconds;
}
