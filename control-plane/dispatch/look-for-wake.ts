import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import type { Ctx, Waiter } from "../context.ts";

/** Milliseconds between two looks of a held poll. */
const lookMilliseconds = 2000;

/** What a held poll waits for, as one text: the host's tasks that may begin, and those that it is to end. */
async function tasksOf({ db, now }: Pick<Ctx, "db" | "now">, { hostId }: { hostId: string }) {
  const { rows } = await db.execute<{ seen: string }>(sql`
    select coalesce(string_agg(id::text, ',' order by id), '') as seen from tasks
    where host_id = ${hostId} and (
      (state = 'queued' and not_before <= ${now()})
      or (state = 'leased' and cancel_requested_at is not null))`);
  return rows[0]!.seen;
}

/**
 * Held polls where nothing may listen for notifications: each looks at its host's tasks itself, every two
 * seconds, and is woken when they are others. Keeps nothing beyond the wait.
 */
export function lookForWake(ctx: Pick<Ctx, "db" | "now">): Ctx["waitForWake"] {
  return ({ hostId, seconds, signal }): Waiter => {
    const stop = new AbortController();
    const end = performance.now() + seconds * 1000;
    const goesOn = () => !stop.signal.aborted && !signal.aborted && performance.now() < end;
    const look = async (): Promise<void> => {
      const before = await tasksOf(ctx, { hostId });
      while (goesOn()) {
        const pause = Math.min(lookMilliseconds, end - performance.now());
        await sleep(Math.max(0, pause), undefined, { signal: stop.signal }).catch(() => undefined);
        if (goesOn() && (await tasksOf(ctx, { hostId })) !== before) return;
      }
    };
    const woken = look();
    // Nobody may wait for it any more: who does hears of it all the same.
    woken.catch(() => undefined);
    return { woken, cancel: () => stop.abort() };
  };
}
