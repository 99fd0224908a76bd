import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import type { Ctx, Waiter } from "../context.ts";
import { leasable } from "./leasable.ts";

/** Milliseconds between two looks of a held poll. */
const lookMilliseconds = 2000;

/** What a held poll waits for: the host's tasks that may be leased now, and those that it is to end. */
async function tasksOf({ db, now }: Pick<Ctx, "db" | "now">, { hostId }: { hostId: string }) {
  const { rows } = await db.execute<{ id: string }>(sql`
    select t.id ${leasable({ now }, { hostId })}
    union all select id from tasks
    where host_id = ${hostId} and state = 'leased' and cancel_requested_at is not null`);
  return rows.map(({ id }) => id);
}

/**
 * Held polls where nothing may listen for notifications: each looks at its host's tasks itself, every two
 * seconds, and is woken when there is one that was not there before. One that was, and that the poll did not take
 * (its source is not known yet), does not wake it. Keeps nothing beyond the wait.
 */
export function lookForWake(ctx: Pick<Ctx, "db" | "now">): Ctx["waitForWake"] {
  return ({ hostId, seconds }): Waiter => {
    const stop = new AbortController();
    let said = false;
    const end = performance.now() + seconds * 1000;
    const goesOn = () => !stop.signal.aborted && performance.now() < end;
    const first = tasksOf(ctx, { hostId });
    const look = async (): Promise<boolean> => {
      for (let before = await first; goesOn();) {
        const pause = Math.min(lookMilliseconds, end - performance.now());
        await sleep(Math.max(0, pause), undefined, { signal: stop.signal }).catch(() => undefined);
        // Also at the end: the next poll may come much later.
        if (stop.signal.aborted) break;
        const seen = await tasksOf(ctx, { hostId });
        if (seen.some((id) => !before.includes(id))) return true;
        before = seen;
      }
      return said;
    };
    const woken = look();
    const ready = first.then(() => undefined);
    // Nobody may wait for them any more: who does hears of it all the same.
    for (const each of [ready, woken]) each.catch(() => undefined);
    const wake = (news: boolean) => {
      said ||= news;
      stop.abort();
    };
    return { ready, woken, wake };
  };
}
