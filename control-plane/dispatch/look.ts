import { sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { type Asking, cancelledTasks, waiting } from "./leasable.ts";
import { standingFacts } from "./standing-orders.ts";

/** What a poll comes to see before anything is leased. */
type Sight = {
  /** Something may be leased, or the poll holds a lease already. */
  lease: boolean;
  cancelled: string[];
  /** Seconds until a task that waits out its back-off may be leased; null: none does. */
  seconds_to_next: number | null;
  /** See `standingVersion`. */
  standing_facts: string | null;
};

/** Looks at a host's tasks, for a poll of its. */
export async function look(ctx: Ctx, asking: Asking): Promise<Sight> {
  const { hostId, pollId } = asking;
  const { rows } = await ctx.db.execute<Sight>(sql`/* look for a task */
    select
      exists (select ${waiting(ctx, asking)})
        or exists (select from tasks where poll_id = ${pollId} and host_id = ${hostId} and state = 'leased') lease,
      ${cancelledTasks({ hostId })} cancelled,
      (select extract(epoch from min(not_before) - ${ctx.now()})::float8 from tasks
        where host_id = ${hostId} and state = 'queued' and not_before > ${ctx.now()}) seconds_to_next,
      ${standingFacts(ctx, { hostId })} standing_facts`);
  return rows[0]!;
}
