import { sql } from "drizzle-orm";
import type { Ctx } from "../context.ts";
import { compiled } from "../db/compiled.ts";
import { type Asking, type AskingText, askingText, cancelledTasks, waiting } from "./leasable.ts";
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

const see = compiled<AskingText, Sight>(({ now }, asking) => {
  const { hostId, pollId } = asking;
  return sql<Sight>`/* look for a task */
    select
      exists (select ${waiting({ now }, asking)})
        or exists (select from tasks where poll_id = ${pollId} and host_id = ${hostId} and state = 'leased') lease,
      ${cancelledTasks({ hostId })} cancelled,
      (select extract(epoch from min(not_before) - ${now()})::float8 from tasks
        where host_id = ${hostId} and state = 'queued' and not_before > ${now()}) seconds_to_next,
      ${standingFacts({ now }, { hostId })} standing_facts`;
});

/** Looks at a host's tasks, for a poll of its. */
export async function look(ctx: Ctx, asking: Asking): Promise<Sight> {
  const { rows } = await see(ctx, askingText(asking)).execute();
  return rows[0]!;
}
